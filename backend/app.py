"""The composition root: builds the Flask application, and is the only place that knows all parts."""

import logging
import threading
from functools import partial

from flask import Flask, Response, jsonify, request
from flask_babel import Babel
from flask_login import LoginManager
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy import text
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from backend import changes, mail, metrics, outbox, retention, watch
from backend.api import cases, conversations, knowledge, open311, wordings
from backend.api import open_data as open_data_api
from backend.api.schemas import JsonApi
from backend.cases import lookup
from backend.cases.sweep import sweep
from backend.cases.words import MESSAGES
from backend.chat import views as chat
from backend.chat import wechat
from backend.chat.media import PhotoFetcher
from backend.chat.wechat import WeChatSender
from backend.clock import Clock, utc_now
from backend.console import views as console
from backend.conversations import service as conversation_service
from backend.conversations.idle import close_idle
from backend.conversations.outcomes import recent_clicks
from backend.conversations.summary import Summarizer
from backend.database import Database
from backend.directory import sessions
from backend.errors import Refused
from backend.followed import Followed
from backend.insight import assessment, issues, mailing, open_data, reports, rollups, warning, words
from backend.jobs.queue import Jobs, jobs
from backend.knowledge import gaps
from backend.knowledge.embedding import make_embedder
from backend.knowledge.service import Knowledge
from backend.limits import set_up_limits
from backend.line_settings import SettingsKept
from backend.locale import COOKIE, current_locale
from backend.parts import Parts, parts
from backend.settings import ROOT, Settings, load_settings
from backend.strict_json import StrictJson, refuse_unreadable
from backend.webhooks import make_sender as make_webhook_sender
from backend.wordings import Wordings
from bot.catalogue import LOCALES
from bot.client import Bot, RasaBot
from bot.say import PHRASES as BOT_PHRASES
from ivr import once, outgoing
from ivr import views as ivr
from ivr.bridge import Switchboard
from ivr.calls import PROMPTS
from ivr.phone.views import make_phone_blueprint
from ivr.provider import Provider
from ivr.recognition import speech_hints
from ivr.recovery import Eraser, Recovery
from ivr.texting import TEXTS, Texter
from ivr.transcription import Transcriber
from ivr.visits import Caller

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "media-src 'self' https://api.twilio.com; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}; "
    "connect-src 'self'{events}"
)

CATALOGUES = {
    "telephone": PROMPTS,
    "bot": BOT_PHRASES,
    "conversation": conversation_service.PHRASES,
    "texts": TEXTS,
    "cases": MESSAGES,
}
"""What the line says that a city may word in its own way."""

DRAINING = ROOT / "var" / "draining"
"""While this file is there the processes of this machine are not ready for new callers (a proxy in front asks /ready)."""


def create_app(settings: Settings | None = None, bot: Bot | None = None, clock: Clock = utc_now) -> Flask:
    """Build the application. Without arguments it is the one that gunicorn runs, from the environment's settings."""
    for_gunicorn = settings is None
    if settings is None:
        settings = load_settings()
        watch.set_up(settings.log_format, settings.traces_url)
    production = settings.environment == "production"
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME="__Host-session" if production else "session",  # RFC 6265bis: this host, whole, by TLS only
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=production,
        MAX_CONTENT_LENGTH=1_000_000,
        WTF_CSRF_TIME_LIMIT=None,  # an operator's page is open all day; the session bounds the token
        BABEL_DEFAULT_LOCALE="zh",
        BABEL_TRANSLATION_DIRECTORIES="translations",
        API_TITLE="12345",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api/v1",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}},
    )
    app.json = StrictJson(app)
    app.before_request(refuse_unreadable)
    shared = make_parts(settings, bot, clock)
    app.extensions["parts"] = shared
    app.extensions["jobs"] = make_jobs(shared)
    watch.watch_requests(app)
    if settings.public_base_url:  # behind a proxy; without one these headers are anybody's
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    Babel(app, locale_selector=current_locale)
    csrf = CSRFProtect(app)
    logins = LoginManager(app)
    console.set_up_log_in(logins)
    console.set_up_sign_on(app, settings)

    api = JsonApi(app)
    for machine in (conversations.blueprint, knowledge.blueprint, cases.blueprint, wordings.blueprint):
        api.register_blueprint(machine)
        csrf.exempt(machine)
    for webhooks in (ivr.blueprint, outgoing.blueprint):
        app.register_blueprint(webhooks)
        csrf.exempt(webhooks)
    app.register_blueprint(open_data_api.blueprint)
    app.register_blueprint(open311.blueprint)
    csrf.exempt(open311.blueprint)
    app.register_blueprint(chat.blueprint)
    app.register_blueprint(wechat.blueprint)
    csrf.exempt(wechat.blueprint)
    app.register_blueprint(console.blueprint)
    if settings.environment == "development":
        phone = make_phone_blueprint(settings)
        app.register_blueprint(phone)
        csrf.exempt(phone)

    set_up_limits(app, settings)
    for view in (health, live, ready):
        app.add_url_rule(f"/{view.__name__}", view_func=view)
    app.register_blueprint(metrics.blueprint)
    app.register_error_handler(Refused, tell_refusal)
    app.register_error_handler(CSRFError, lambda _: tell_refusal(Refused("form_expired", 400)))
    app.register_error_handler(HTTPException, tell_http_error)
    app.register_error_handler(Exception, tell_fault)
    app.after_request(protect)
    if for_gunicorn:  # calls are taken meanwhile; the first citizens who ask needn't wait until it is read
        threading.Thread(target=read_knowledge, args=(shared,), daemon=True).start()
    return app


def read_knowledge(shared: Parts) -> None:
    """Read what is published before anybody asks. Should that fail, the first question tries again."""
    try:
        with shared.database.read() as session:
            shared.knowledge.read_ahead(session)
    except Exception:  # whatever it is, the line goes on without
        logging.getLogger(__name__).exception("the knowledge could not be read")


def make_parts(settings: Settings, bot: Bot | None, clock: Clock) -> Parts:
    """What one process works with, web or worker."""
    database, embedder = Database(settings.database_url), make_embedder(settings)
    return Parts(
        settings=settings,
        database=database,
        clock=clock,
        bot=bot or RasaBot(settings.rasa_urls, settings.bot_token, settings.bot_timeout),
        knowledge=Knowledge(database, embedder, partial(recent_clicks, database, clock)),
        embedder=embedder,
        telephone=Switchboard(settings, database, clock, Provider(settings)),
        wordings=Wordings(database, CATALOGUES, written=frozenset({"texts", "cases"})),
        line_settings=SettingsKept(database, settings),
        speech_hints=Followed(database, speech_hints, {}),
        summarizer=Summarizer(settings) if settings.summary_url else None,
    )


def make_jobs(shared: Parts) -> Jobs:
    """The jobs of the line: the web process puts them into the queue, the worker does them."""
    jobs = Jobs(shared.settings, shared.database, shared.clock, shared.embedder)
    key, address = shared.settings.secret_key, shared.settings.base_url
    jobs.every_minute("forget_log_ins", lambda: forget_log_ins(shared))
    jobs.every_minute("forget_changes", lambda: changes.forget_old(shared.database, shared.clock))
    jobs.every_minute(
        "close_idle", lambda: close_idle(shared.database, shared.clock, shared.line_settings().asked_after)
    )
    jobs.every_minute("sweep_cases", lambda: sweep(shared.database, shared.clock, key, address))
    if isinstance(shared.telephone, Switchboard):
        shared.telephone.put = jobs.job("see_to_call", shared.telephone.work, again=3)
        jobs.every_minute("sweep_calls", shared.telephone.sweep)
        provider = shared.telephone.provider
        webhook = make_webhook_sender(shared.database, shared.clock, shared.settings.webhook_networks)
        senders = {
            "sms": Texter(shared, provider).send,
            "wechat": WeChatSender(shared).send,
            "photo": PhotoFetcher(shared).send,
            "erasure": Eraser(provider).send,
            "webhook": webhook,
        }

        def deliver() -> None:
            outbox.deliver(shared.database, shared.clock, senders)

        jobs.every_minute("deliver", deliver)
        shared.database.after_commit(outbox.WAKING, jobs.job("deliver_now", deliver))
        jobs.every_minute("visit_citizens", Caller(shared, provider).work)
        jobs.every_minute("fetch_recordings", Recovery(shared, provider).work)
        jobs.every_minute("transcribe", Transcriber(shared, provider).work)
    also = {"webhook_answers": once.forget_old}
    jobs.every_minute("erase_old", lambda: retention.erase_old(shared.database, shared.clock, also))
    jobs.every_minute("group_gaps", lambda: gaps.group_new(shared.database, shared.embedder, shared.clock()))
    jobs.every_minute("forget_lookups", lambda: lookup.forget_old(shared.database, shared.clock))
    jobs.every_minute("freeze_assessment", lambda: assessment.freeze_when_due(shared.database, shared.clock))
    jobs.every_minute("count", lambda: rollups.keep_in_step(shared.database, shared.clock))
    groups = issues.Index(shared.embedder)
    jobs.every_minute("group_cases", lambda: issues.group_new(shared.database, groups, shared.clock))
    jobs.every_minute("mend_groups", lambda: issues.mend(shared.database, groups, shared.clock))
    jobs.every_minute("warn", lambda: warning.warn(shared.database, shared.clock))
    jobs.every_minute("count_words", lambda: words.count_words(shared.database, shared.clock))
    jobs.every_minute("publish_open_data", lambda: open_data.publish_due(shared.database, shared.clock))
    jobs.every_minute("make_reports", lambda: reports.make_due(shared.database, shared.clock, address))
    if shared.settings.smtp_host:
        mails = {"email": mail.make_sender(shared.settings, mailing.composer(shared.database, address))}
        jobs.every_minute("send_mails", lambda: outbox.deliver(shared.database, shared.clock, mails))
    return jobs


def forget_log_ins(shared: Parts) -> None:
    """Wrong passwords and sessions of long ago."""
    with shared.database.write() as session:
        sessions.forget_old(session, shared.clock())


def health() -> tuple[Response, int]:
    """200 with each part's state, 503 when a part that callers need is down (the log-in pages would still work)."""
    shared = parts()
    bots = {f"bot_{number}": state for number, state in enumerate(shared.bot.processes().values())}
    states = {"database": record_answers(), "bot": any(bots.values())}
    search = "words and meaning" if shared.embedder else "words alone"  # for information: search works either way
    body = {
        "status": "ok" if all(states.values()) else "degraded",
        "parts": states,
        "bots": bots,  # for information: one is enough for a turn, not for many callers
        "search": search,
        "worker": worker_state(),
    }
    return jsonify(body), 200 if all(states.values()) else 503


def live() -> tuple[str, int]:
    """204: the process answers. For who would otherwise restart it; what it needs may be down all the same."""
    return "", 204


def ready() -> tuple[Response, int]:
    """200 when this process shall be sent callers: it can write down what they say, and isn't being taken out of service
    (DRAINING). Without the bot it is ready: callers leave a message. For information: whether the knowledge is read."""
    draining, record = DRAINING.exists(), record_answers()
    body = {"draining": draining, "database": record, "knowledge": parts().knowledge.is_read}
    return jsonify(body), 200 if record and not draining else 503


def record_answers() -> bool:
    """Whether the record can be read, by this version's tables."""
    try:
        with parts().database.read() as session:
            session.execute(text("SELECT 1 FROM knowledge_version"))
        return True
    except Exception:  # whatever it is, the record can't be used
        logging.getLogger(__name__).exception("the record can't be read")
        return False


def worker_state() -> str:
    """Whether jobs are being done. For information: no caller waits for them."""
    try:
        return "working" if jobs().is_worked() else "not seen"
    except Exception:  # whatever it is, the queue can't be used
        logging.getLogger(__name__).exception("the queue of jobs can't be read")
        return "queue can't be read"


def tell_refusal(refusal: Refused) -> tuple[Response | str, int]:
    """A refusal in the person's language: JSON for programs, a page for people."""
    body = {"code": refusal.code, "message": refusal.sentence(current_locale())}
    if wants_json():
        return jsonify(body), refusal.status
    return console.error_page(body["message"], refusal.status), refusal.status


def tell_http_error(error: HTTPException) -> tuple[Response | str, int]:
    """Errors of the protocol (404, 405, 413, 422 …) in the same form as refusals."""
    codes = {404: "not_found", 401: "log_in_first", 403: "not_allowed", 413: "too_large", 429: "too_many_requests"}
    refusal = Refused(codes.get(error.code or 500, "bad_request"), error.code or 500)
    return tell_refusal(refusal)


def tell_fault(error: Exception) -> tuple[Response | str, int]:
    """Something that nobody foresaw: logged whole, told plainly."""
    logging.getLogger(__name__).error("unforeseen error at %s", request.endpoint, exc_info=error)
    return tell_refusal(Refused("server_fault", 500))


def wants_json() -> bool:
    """Whether the client is a program."""
    return request.path.startswith(("/api/", "/ivr/", "/phone/")) or request.is_json


def protect(response: Response) -> Response:
    """Headers that every answer carries. Only the chat page may be framed, by the city's own sites (/widget.js)."""
    sites = parts().settings.widget_sites
    ancestors = (f"'self' {sites}" if sites else "*") if request.path == "/chat" else "'none'"
    at = console.events_address() if console.in_console() else ""
    events = f" {at.removesuffix(console.EVENTS_PATH)}" if "://" in at else ""
    policy = CONTENT_SECURITY_POLICY.format(ancestors=ancestors, events=events)
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.args.get("lang") in LOCALES:
        response.set_cookie(COOKIE, request.args["lang"], max_age=31_536_000, httponly=True, samesite="Lax")
    return response
