"""The visual language on a page of its own: tokens and components, as they are."""

from flask import render_template
from flask.typing import ResponseReturnValue

from backend.console.log_in import allowed


@allowed("self")
def show_style() -> ResponseReturnValue:
    """The page, for whoever builds or adapts pages."""
    return render_template("console/style.html")
