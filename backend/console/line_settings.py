"""What a city changes about its line while it runs, on one form."""

from dataclasses import asdict
from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from backend.console.forms import field
from backend.console.log_in import allowed
from backend.errors import Refused
from backend.line_settings import BOUNDS
from backend.locale import current_locale
from backend.parts import parts

NUMBER_WORDS: Final = {
    "queue_limit": lazy_gettext("电话排队多久后请来电者留言（秒）"),
    "long_wait": lazy_gettext("等待多久起标黄（秒）"),
    "too_long_wait": lazy_gettext("等待多久起标红（秒）"),
    "idle_minutes": lazy_gettext("网上会话静默多久后询问，再过同样久结束（分钟）"),
    "first_gap": lazy_gettext("回访第一次没有问到，多久后再打（小时）"),
    "second_gap": lazy_gettext("第二次没有问到，多久后再打（小时）"),
    "later_gap": lazy_gettext("以后每次没有问到，多久后再打（小时）"),
}
RECORDING_WORDS: Final = {
    "off": lazy_gettext("不录音"),
    "notice": lazy_gettext("一律录音，并告知来电者"),
    "consent": lazy_gettext("来电者同意才录音"),
}
WORDS: Final = NUMBER_WORDS | {
    "calling_hours": lazy_gettext("电话回访时段（北京时间）"),
    "call_recording": lazy_gettext("与坐席通话的录音"),
}


@allowed("line")
def edit_settings() -> ResponseReturnValue:
    """The form, and keeping what was written in it; `restore` goes back to what is delivered. Nothing typed is lost on a
    refusal."""
    kept = parts().line_settings
    if request.method == "GET":
        return form_page({name: str(value) for name, value in asdict(kept()).items()})
    delivered = {name: str(value) for name, value in asdict(kept.delivered).items()}
    wanted = delivered if "restore" in request.form else wanted_of_form()
    try:
        with parts().database.write() as session:
            kept.change(session, wanted)
    except Refused as refused:
        return form_page(wanted, refused)
    kept.look_again()
    return redirect(url_for("console.line_settings"))


def wanted_of_form() -> dict[str, str]:
    """What the form has, as it was typed."""
    hours = f"{field('calling_from')}-{field('calling_until')}"
    return {name: field(name) for name in (*NUMBER_WORDS, "call_recording")} | {"calling_hours": hours}


def form_page(values: dict[str, str], refused: Refused | None = None) -> ResponseReturnValue:
    """The form with these values in it."""
    delivered = {name: str(value) for name, value in asdict(parts().line_settings.delivered).items()}
    html = render_template(
        "console/line/settings.html",
        values=values,
        hours=values["calling_hours"].partition("-")[::2],
        delivered=delivered,
        words=WORDS,
        numbers=list(NUMBER_WORDS),
        bounds=BOUNDS,
        recording=RECORDING_WORDS,
        is_changed=values != delivered,
        refusal=f"{WORDS[refused.facts['setting']]} — {refused.sentence(current_locale())}" if refused else None,
        here=request.path,
    )
    return html, refused.status if refused else 200
