"""The console's blueprint: its addresses, and what every page of it knows."""

from typing import Any

from flask import Blueprint, current_app, request
from flask_login import current_user

from backend.city import city_name
from backend.console import cases, conversations, desk, log_in, words
from backend.console.log_in import set_up_log_in
from backend.locale import current_locale
from bot.catalogue import LOCALES

__all__ = ["blueprint", "error_page", "set_up_log_in"]

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
add("/log-out", "log_out", log_in.log_out, methods=["POST"])

add("", "desk", desk.show_desk)
add("/queue", "queue", desk.show_queue)
add("/presence", "presence", desk.set_presence, methods=["POST"])

add("/conversations/<conversation_id>", "conversation", conversations.show_conversation)
add("/conversations/<conversation_id>/turns", "turns", conversations.show_news)
add("/conversations/<conversation_id>/take", "take", conversations.take, methods=["POST"])
add("/conversations/<conversation_id>/say", "say", conversations.say, methods=["POST"])
add("/conversations/<conversation_id>/hand-back", "hand_back", conversations.hand_back, methods=["POST"])
add("/conversations/<conversation_id>/close", "close", conversations.close, methods=["POST"])
add("/conversations/<conversation_id>/case", "file_case", conversations.file_from, methods=["POST"])

add("/cases", "cases", cases.list_cases)
add("/cases/<number>", "case", cases.show_case)
add("/cases/<number>/acts/<act>", "act", cases.do_act, methods=["POST"])

for show in (
    words.short_time,
    words.full_time,
    words.waited,
    words.telephone,
    words.masked,
    words.act_words,
    words.state_name,
):
    blueprint.add_app_template_filter(show)


@blueprint.context_processor
def what_every_page_knows() -> dict[str, Any]:
    """Names, words and who is logged in, for all templates of the console."""
    return page_basics() | {
        "person": current_user if current_user.is_authenticated else None,
        "ROLES": words.ROLES,
        "CHANNELS": words.CHANNELS,
        "LANGUAGES": words.LANGUAGES,
        "CONVERSATION_STATES": words.CONVERSATION_STATES,
        "DETAILS": words.DETAILS,
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


def error_page(message: str, status: int) -> str:
    """The page that tells a person what went wrong, for the whole site.

    It is rendered without asking who is logged in: the record itself may be what has failed.
    """
    template = current_app.jinja_env.get_template("console/error.html")
    return template.render(page_basics(), message=message, status=status, here=None, in_console=in_console())


def in_console() -> bool:
    """Whether the request was for a page of the console."""
    return request.path == "/console" or request.path.startswith("/console/")
