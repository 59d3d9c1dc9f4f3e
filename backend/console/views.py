"""The console's blueprint: its addresses, and what every page of it knows."""

from typing import Any

from flask import Blueprint, current_app, g, request
from flask_login import current_user

from backend.attachments import BYTES_LIMIT
from backend.audit import set_acting
from backend.changes import newest
from backend.city import city_name
from backend.console import (
    account,
    administration,
    agencies,
    alerts,
    announcements,
    assessment,
    audit_log,
    case_list,
    cases,
    categories,
    conversations,
    desk,
    dispatch,
    documents,
    erasure,
    exchange,
    floor,
    gaps,
    hot_issues,
    hot_words,
    inbox,
    insight,
    integrations,
    knowledge,
    legacy,
    line_settings,
    log_in,
    phrases,
    prompts,
    reports,
    roots,
    second_factor,
    sign_on,
    staff,
    style,
    supervision,
    versions,
    voice,
    wall,
    words,
)
from backend.console.log_in import set_up_log_in
from backend.console.sections import current_section, sections_of
from backend.console.sign_on import set_up as set_up_sign_on
from backend.conversations.presence import BREAK_REASONS
from backend.conversations.rules import SUPERVISING
from backend.knowledge.documents import ARCHIVE_BYTES, ARCHIVE_FILES
from backend.locale import current_locale
from backend.parts import parts
from backend.spreadsheet import FILE_LIMIT
from bot.catalogue import LOCALES

__all__ = ["blueprint", "error_page", "set_up_log_in", "set_up_sign_on"]

blueprint = Blueprint(
    "console",
    __name__,
    url_prefix="/console",
    template_folder="templates",
    static_folder="static",
    static_url_path="/static",
)

add = blueprint.add_url_rule
add("/log-in", "log_in", log_in.log_in, methods=["GET", "POST"])
add("/log-in/code", "log_in_code", log_in.log_in_code, methods=["GET", "POST"])
add("/log-in/provider", "sign_on", sign_on.begin)
add("/log-in/provider/back", "sign_on_back", sign_on.come_back)
add("/log-out", "log_out", log_in.log_out, methods=["POST"])

add("/account", "account", account.show_account)
add("/account/password", "change_password", account.change_password, methods=["POST"])
add("/account/second-factor", "second_factor", second_factor.set_up, methods=["GET", "POST"])
add("/account/second-factor/end", "end_second_factor", second_factor.end, methods=["POST"])
add("/account/sessions/end", "end_sessions", account.end_sessions, methods=["POST"])

add("", "desk", desk.show_desk)
add("/queue", "queue", desk.show_queue)
add("/mine", "mine", desk.show_mine)
add("/beat", "beat", desk.beat, methods=["POST"])
add("/offers", "offers", desk.show_offers)
add("/offers/<int:offer_id>/<act>", "answer_offer", desk.answer_offer, methods=["POST"])
add("/presence", "presence", desk.set_presence, methods=["POST"])

add("/conversations/<conversation_id>", "conversation", conversations.show_conversation)
add("/conversations/<conversation_id>/turns", "turns", conversations.show_news)
add("/conversations/<conversation_id>/found", "found", conversations.show_found)
add("/conversations/<conversation_id>/take", "take", conversations.take, methods=["POST"])
add("/conversations/<conversation_id>/say", "say", conversations.say, methods=["POST"])
add("/conversations/<conversation_id>/typing", "typing", conversations.note_typing, methods=["POST"])
add("/conversations/<conversation_id>/hand-back", "hand_back", conversations.hand_back, methods=["POST"])
add("/conversations/<conversation_id>/close", "close", conversations.close, methods=["POST"])
add("/conversations/<conversation_id>/call/<act>", "call_act", conversations.act_on_call, methods=["POST"])
add("/conversations/<conversation_id>/wrap-up", "wrap_up", conversations.finish, methods=["POST"])
add("/conversations/<conversation_id>/notes", "add_note", conversations.add_note, methods=["POST"])
add("/style", "style", style.show_style)
add("/floor", "floor", floor.show_floor)
add("/floor/now", "floor_now", floor.show_now)
add("/floor/<conversation_id>/give", "give", floor.give, methods=["POST"])
add("/conversations/<conversation_id>/summary", "summary", conversations.write_summary, methods=["POST"])
add("/conversations/<conversation_id>/duplicates", "duplicates", conversations.show_duplicates)
add("/softphone", "softphone", voice.show_softphone)
add("/voice-token", "voice_token", voice.give_token)
add("/conversations/<conversation_id>/case", "file_case", conversations.file_from, methods=["POST"])

add("/cases", "cases", case_list.list_cases)
add("/cases/<number>", "case", cases.show_case)
add("/cases/<number>/acts/<act>", "act", cases.do_act, methods=["POST"])
add("/dispatch", "dispatch", dispatch.show_dispatch)
add("/dispatch/<number>", "dispatch_case", dispatch.dispatch_case, methods=["POST"])
add("/dispatch/<number>/<act>", "rule_on_dispute", dispatch.rule_on_dispute, methods=["POST"])
add("/roots", "roots", roots.list_roots)
add("/roots", "open_root", roots.open_root, methods=["POST"])
add("/roots/<int:root_id>", "root", roots.show_root)
add("/roots/<int:root_id>/<act>", "root_act", roots.do_act, methods=["POST"])
add("/inbox", "inbox", inbox.show_inbox)
add("/inbox/templates", "templates", inbox.show_templates)
add("/inbox/templates", "save_template", inbox.save_template, methods=["POST"])
add("/inbox/templates/<int:template_id>/remove", "remove_template", inbox.remove_template, methods=["POST"])
add("/supervision", "supervision", supervision.show_lists)
add("/supervision/identity", "identity_accesses", supervision.show_accesses)
add("/erasure", "erasure", erasure.show_erasure)
add("/erasure", "erase", erasure.erase, methods=["POST"])
add("/deadlines", "deadlines", supervision.edit_deadlines, methods=["GET", "POST"])
add("/deadlines/days", "calendar_days", supervision.edit_days, methods=["POST"])
add("/cases/<number>/identity", "identity", cases.show_identity, methods=["POST"])

add("/knowledge", "articles", knowledge.list_articles)
add("/knowledge/acts", "act_on_many", knowledge.act_on_many, methods=["POST"])
add("/knowledge/review", "review", knowledge.show_review)
add("/knowledge/new", "new_article", knowledge.create_article, methods=["GET", "POST"])
add("/knowledge/preview", "preview", knowledge.preview, methods=["POST"])
add("/knowledge/export", "export", exchange.export)
add("/knowledge/import", "import_articles", exchange.import_file, methods=["GET", "POST"])
add("/knowledge/articles/<article_id>", "article", knowledge.edit_article, methods=["GET", "POST"])
add("/knowledge/articles/<article_id>/versions/<int:number>", "version", versions.show_version)
add("/knowledge/articles/<article_id>/versions/<int:number>/restore", "restore", versions.restore, methods=["POST"])
add("/knowledge/articles/<article_id>/versions/<int:number>/<act>", "version_act", versions.do_act, methods=["POST"])

add("/knowledge/gaps", "gaps", gaps.list_groups)
add("/knowledge/gaps/outcomes", "outcomes", gaps.list_outcomes)
add("/knowledge/gaps/<int:group_id>", "gap", gaps.show_group)
add("/knowledge/gaps/<int:group_id>/draft", "draft_gap", gaps.draft, methods=["POST"])
add("/knowledge/gaps/<int:group_id>/dismiss", "dismiss_gap", gaps.dismiss, methods=["POST"])
add("/knowledge/gaps/<int:group_id>/reopen", "reopen_gap", gaps.reopen, methods=["POST"])

add("/line/announcements", "announcements", announcements.list_announcements)
add("/line/announcements/new", "new_announcement", announcements.create_announcement, methods=["GET", "POST"])
add("/line/announcements/preview", "preview_announcement", announcements.preview_announcement, methods=["POST"])
add(
    "/line/announcements/<int:announcement_id>",
    "announcement",
    announcements.edit_announcement,
    methods=["GET", "POST"],
)
add(
    "/line/announcements/<int:announcement_id>/switch",
    "switch_announcement",
    announcements.switch_announcement,
    methods=["POST"],
)
add("/line/phrases", "phrases", phrases.list_phrases)
add("/line/phrases/new", "new_phrase", phrases.create_phrase, methods=["GET", "POST"])
add("/line/phrases/<code>", "phrase", phrases.edit_phrase, methods=["GET", "POST"])
add("/line/settings", "line_settings", line_settings.edit_settings, methods=["GET", "POST"])
add("/line/prompts", "prompts", prompts.list_prompts)
add("/line/prompts/<catalogue>/<key>", "prompt", prompts.edit_prompt, methods=["GET", "POST"])
add("/line/prompts/<catalogue>/<key>/preview", "preview_prompt", prompts.preview_prompt, methods=["POST"])
add("/line/prompts/<catalogue>/<key>/delivered", "restore_prompt", prompts.restore_prompt, methods=["POST"])
add("/line/numbers", "numbers", legacy.list_numbers)
add("/line/numbers/export", "export_numbers", legacy.export_numbers)
add("/line/numbers/new", "new_number", legacy.create_number, methods=["GET", "POST"])
add("/line/numbers/<number>", "number", legacy.edit_number, methods=["GET", "POST"])

add("/documents", "documents", documents.list_documents)
add("/documents", "add_documents", documents.add_documents, methods=["POST"])
add("/documents/imports/<int:import_id>", "document_import", documents.show_import)
add("/documents/imports/<int:import_id>/stop", "stop_import", documents.stop_import, methods=["POST"])
add("/documents/imports/<int:import_id>/resume", "resume_import", documents.resume_import, methods=["POST"])
add("/documents/<int:document_id>", "document", documents.show_document)
add("/documents/<int:document_id>", "correct_document", documents.correct_document, methods=["POST"])
add("/documents/<int:document_id>/state", "document_state", documents.set_document_state, methods=["POST"])
add("/documents/<int:document_id>/replaces", "replace_document", documents.replace_document, methods=["POST"])
add("/documents/<int:document_id>/file", "download_document", documents.download_document)

add("/integrations", "integrations", integrations.show_integrations)
add("/integrations/keys", "make_key", integrations.make_key, methods=["POST"])
add("/integrations/keys/<int:key_id>/revoke", "revoke_key", integrations.revoke_key, methods=["POST"])
add("/integrations/webhooks", "subscribe", integrations.subscribe, methods=["POST"])
add(
    "/integrations/webhooks/<int:subscription_id>/end",
    "end_subscription",
    integrations.end_subscription,
    methods=["POST"],
)
add("/integrations/requests/<int:case_id>/hidden", "set_hidden", integrations.set_hidden, methods=["POST"])
add("/attachments/<int:attachment_id>", "attachment", integrations.download_attachment)

add("/administration", "administration", administration.show_overview)
add("/people", "people", staff.list_people)
add("/people/new", "new_person", staff.add_person, methods=["GET", "POST"])
add("/people/<int:staff_id>", "person", staff.edit_person, methods=["GET", "POST"])
add("/people/<int:staff_id>/password", "reset_password", staff.reset_password, methods=["POST"])
add("/people/<int:staff_id>/second-factor/end", "end_second_factor_of", staff.end_second_factor, methods=["POST"])
add("/people/<int:staff_id>/unlock", "unlock_person", staff.unlock_person, methods=["POST"])
add("/people/<int:staff_id>/deactivate", "deactivate_person", staff.deactivate_person, methods=["POST"])
add("/people/<int:staff_id>/activate", "activate_person", staff.activate_person, methods=["POST"])
add("/audit", "audit_log", audit_log.list_events)
add("/audit/export", "export_audit", audit_log.export_events)

add("/insight", "insight", insight.show_figures)
add("/insight/cases", "insight_cases", insight.show_cases)
add("/insight/export", "export_insight", insight.export_figures)
add("/insight/views", "save_view", insight.save_view, methods=["POST"])
add("/insight/views/<slug>", "insight_view", insight.open_view)
add("/insight/views/<slug>/remove", "remove_view", insight.remove_view, methods=["POST"])
add("/insight/issues", "hot_issues", hot_issues.show_issues)
add("/insight/issues/<int:group_id>", "hot_issue", hot_issues.show_issue)
add("/insight/alerts", "alerts", alerts.list_alerts)
add("/insight/alerts/<int:alert_id>", "alert", alerts.show_alert)
add("/insight/alerts/<int:alert_id>/<act>", "act_on_alert", alerts.act_on_alert, methods=["POST"])
add("/insight/issues/<int:group_id>/root", "hot_root", hot_issues.make_root, methods=["POST"])
add("/insight/words", "hot_words", hot_words.show_words)
add("/insight/screens", "screens", wall.list_screens)
add("/insight/screens", "make_screen", wall.make_screen, methods=["POST"])
add("/insight/screens/<int:screen_id>/end", "end_screen", wall.end_screen, methods=["POST"])
add("/insight/reports", "reports", reports.list_reports)
add("/insight/reports/<int:report_id>.<form>", "report_file", reports.give_report)
add("/insight/reports/recipients", "add_recipient", reports.add_recipient, methods=["POST"])
add(
    "/insight/reports/recipients/<int:recipient_id>/remove",
    "remove_recipient",
    reports.remove_recipient,
    methods=["POST"],
)
add("/wall", "wall", wall.show_wall)
add("/wall/data", "wall_data", wall.give_wall)
add("/wall/open/<key>", "open_screen", wall.open_screen)

add("/assessment", "assessment", assessment.show_standings)
add("/assessment/export", "export_assessment", assessment.export_standings)
add("/assessment/ratings", "ratings", assessment.show_ratings)
add("/assessment/ratings/<int:visit_id>/appeal", "make_appeal", assessment.make_appeal, methods=["POST"])
add("/assessment/appeals", "appeals", assessment.show_appeals)
add("/assessment/appeals/<int:appeal_id>/ruling", "rule_on_appeal", assessment.rule_on_appeal, methods=["POST"])

add("/agencies", "agencies", agencies.list_agencies)
add("/agencies/export", "export_agencies", agencies.export_agencies)
add("/agencies/import", "import_agencies", agencies.import_file, methods=["GET", "POST"])
add("/agencies/learning", "learning", agencies.show_learning)
add("/agencies/learning", "learn_now", agencies.learn_now, methods=["POST"])

add("/categories", "categories", categories.list_categories)
add("/categories/new", "new_category", categories.create_category, methods=["GET", "POST"])
add("/categories/<code>", "category", categories.edit_category, methods=["GET", "POST"])
add("/categories/<code>/retire", "retire_category", categories.retire_category, methods=["POST"])
add("/categories/<code>/bring-back", "bring_back_category", categories.bring_back_category, methods=["POST"])
add("/categories/changes/<int:number>/undo", "undo_category", categories.undo_change, methods=["POST"])

EVENTS_PATH = "/console/events"
"""Where consoles hear what has changed. The public process does not answer there: backend/events.py does."""

UPLOADS = {
    "console.import_articles": ("knowledge", FILE_LIMIT),
    "console.add_documents": ("knowledge", ARCHIVE_BYTES),
    "console.import_agencies": ("directory", FILE_LIMIT),
    "console.act": ("cases", cases.FILES_LIMIT * BYTES_LIMIT),
}
"""Addresses to which files are sent, by whom (a right), and how many bytes each takes; all others take what
MAX_CONTENT_LENGTH says."""

for show in (
    words.short_time,
    words.full_time,
    words.waited,
    words.telephone,
    words.masked,
    words.act_words,
    words.state_name,
    words.version_act_words,
    words.browser_name,
):
    blueprint.add_app_template_filter(show)


blueprint.before_request(log_in.note_who_acts)
blueprint.teardown_request(lambda _: set_acting(None))


@blueprint.url_value_preprocessor
def allow_uploads(endpoint: str | None, _: dict[str, Any] | None) -> None:
    """Let those who may send files. This must be set before the form is read, which the check of its token does."""
    area, limit = UPLOADS.get(endpoint or "", ("", 0))
    if area and current_user.is_authenticated and current_user.may_enter(area):
        request.max_content_length = limit
        request.max_form_parts = ARCHIVE_FILES + 10  # the files, and what else is in the form


@blueprint.before_request
def note_newest_change() -> None:
    """Before a page reads anything: what changes from now on is told by its stream (static/live.js)."""
    if request.method == "GET" and request.endpoint != "console.static" and not request.headers.get("HX-Request"):
        with parts().database.read() as session:
            g.newest_change = newest(session)


@blueprint.context_processor
def what_every_page_knows() -> dict[str, Any]:
    """Names, words and who is logged in, for all templates of the console."""
    person = current_user if current_user.is_authenticated else None
    return page_basics() | {
        "person": person,
        "has_provider": bool(parts().settings.oidc_issuer),
        "sections": sections_of(person) if person else [],
        "current_section": current_section(),
        "ROLES": words.ROLES,
        "CHANNELS": words.CHANNELS,
        "LANGUAGES": words.LANGUAGES,
        "PRIORITIES": words.PRIORITIES,
        "PARTIES": words.PARTIES,
        "SUPERVISING": SUPERVISING,
        "LEG_STATES": words.LEG_STATES,
        "LEG_OUTCOMES": words.LEG_OUTCOMES,
        "CONVERSATION_STATES": words.CONVERSATION_STATES,
        "PRESENCES": words.PRESENCES,
        "REASONS": words.REASONS,
        "OUTCOMES": words.OUTCOMES,
        "BREAK_REASONS": BREAK_REASONS,
        "DETAILS": words.DETAILS,
        "NOTES": words.NOTES,
        "NAMED_AGENCIES": words.NAMED_AGENCIES,
        "MARKS": words.MARKS,
        "VERSION_STATES": words.VERSION_STATES,
        "ARTICLE_FIELDS": words.ARTICLE_FIELDS,
        "events_address": events_address,
        "newest_change": lambda: g.get("newest_change", 0),
        "colon": ": " if current_locale() == "en" else "：",
    }


def page_basics() -> dict[str, Any]:
    """What even a page about a failure can know: language, city, and the address of this page in other languages."""
    locale = current_locale()
    return {
        "locale": locale,
        "city": city_name(locale),
        "languages": [(code, name) for code, name in (("zh", "中文"), ("en", "English")) if code in LOCALES],
        "asked": {name: value for name, value in request.args.items() if name != "lang"},
    }


def events_address() -> str:
    """Where the events process is for this browser: behind the city's proxy at the same address, in development, where there
    is none, at a port of its own."""
    settings = parts().settings
    if settings.environment == "production":
        return EVENTS_PATH
    return f"http://{request.host.rsplit(':', 1)[0]}:{settings.events_port}{EVENTS_PATH}"


def error_page(message: str, status: int) -> str:
    """The page that tells a person what went wrong, for the whole site.

    It is rendered without asking who is logged in: the record itself may be what has failed.
    """
    template = current_app.jinja_env.get_template("console/error.html")
    return template.render(page_basics(), message=message, status=status, here=None, in_console=in_console())


def in_console() -> bool:
    """Whether the request was for a page of the console."""
    return request.path == "/console" or request.path.startswith("/console/")
