"""The practice exchange: stands for Twilio where there is no account. One process on loopback, in development and tests
only: `python -m gunicorn --threads 16 'ivr.phone.exchange:create_exchange()'` (backend/setup/supervisord.conf).

It answers Twilio's REST API (rest.py) and the windows of the practice phone (under /practice), over one switch that holds
all calls (switch.py). Who asks logs in as with Twilio: the account's SID and auth token.
"""

from __future__ import annotations

import hmac
import threading
from typing import Protocol

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from ivr.phone.call import DEFAULT_TO, PRACTICE_ACCOUNT, HttpTransport
from ivr.phone.noise import Noise, NoisyTransport
from ivr.phone.rest import RestRefused, make_rest_blueprint, refusal_json
from ivr.phone.switch import Switch
from ivr.phone.windows import make_windows_blueprint

TICK_SECONDS = 0.5


class ExchangeSettings(Protocol):
    """The settings that the exchange needs."""

    @property
    def environment(self) -> str: ...
    @property
    def twilio_account_sid(self) -> str: ...
    @property
    def twilio_auth_token(self) -> str: ...
    @property
    def line_number(self) -> str: ...
    @property
    def exchange_port(self) -> int: ...
    @property
    def base_url(self) -> str: ...


def create_exchange(settings: ExchangeSettings | None = None) -> Flask:
    """The exchange as a process: with a thread that does what was ordered and lets telephones ring out.

    Raises RuntimeError in production: whoever can sign webhooks for any number must not run beside a public line.
    """
    if settings is None:
        from backend.settings import load_settings

        settings = load_settings()
    if settings.environment == "production":
        raise RuntimeError("the practice exchange is for development and tests only")
    noise = Noise()
    switch = Switch(
        settings.base_url,
        auth_token=settings.twilio_auth_token,
        transport=NoisyTransport(HttpTransport(), noise),
        rest_url=f"http://127.0.0.1:{settings.exchange_port}",
        account_sid=settings.twilio_account_sid or PRACTICE_ACCOUNT,
    )
    app = make_exchange(switch, settings.line_number or DEFAULT_TO, noise)
    threading.Thread(target=keep_time, args=(switch, app), daemon=True).start()
    return app


def make_exchange(switch: Switch, line_number: str = DEFAULT_TO, noise: Noise | None = None) -> Flask:
    """The exchange as a WSGI application over this switch, for an account that owns `line_number`. Nothing happens by
    itself: whoever holds the switch calls its `tick`. `noise` distorts what is done at windows."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000
    app.register_blueprint(make_rest_blueprint(switch, (line_number,)))
    app.register_blueprint(make_windows_blueprint(switch, noise or Noise()))

    @app.before_request
    def log_in() -> None:
        sent = request.authorization
        name, secret = (sent.username or "", sent.password or "") if sent else ("", "")
        if not (name == switch.account_sid and hmac.compare_digest(secret.encode(), switch.auth_token.encode())):
            raise RestRefused(20003, "Authenticate", 401)

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[Response, int]:
        if error.code == 404:
            return refusal_json(RestRefused(20404, f"The requested resource {request.path} was not found", 404))
        return refusal_json(RestRefused(20000 + (error.code or 500), error.name, error.code or 500))

    app.register_error_handler(RestRefused, refusal_json)
    return app


def keep_time(switch: Switch, app: Flask) -> None:
    """Do what is ordered as soon as it is, and look at the time twice a second, for ever."""
    while True:
        switch.ordered.wait(TICK_SECONDS)
        try:
            switch.tick()
        except Exception:  # whatever it is, the other calls go on
            app.logger.exception("a call failed at the exchange")
