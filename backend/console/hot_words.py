"""The page of hot words."""

from datetime import timedelta
from typing import Final

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from backend.console.insight import wanted_slice
from backend.console.log_in import allowed
from backend.insight.names import names
from backend.insight.words import hot_words
from backend.locale import current_locale
from backend.parts import parts

COMPARED: Final = {
    "before": lazy_gettext("与同一范围前十二个月比，出现得异常多的词。"),
    "city": lazy_gettext("与全市同一时段比，在这个范围里出现得异常多的词。"),
    "": lazy_gettext("还没有足够的往期工单可比，以下只是出现最多的词。"),
}


@allowed("insight")
def show_words() -> ResponseReturnValue:
    """What is said more often than usual in the period, district and category that the address asks for."""
    wanted = wanted_slice()
    with parts().database.read() as session:
        return render_template(
            "console/insight/words.html",
            wanted=wanted,
            last_day=wanted.until - timedelta(days=1),
            found=hot_words(session, wanted),
            called=names(session, current_locale()),
            COMPARED=COMPARED,
        )
