"""Reading what a form of the console sends."""

from flask import request


def field(name: str) -> str:
    """A field of the form without blanks around it, line ends as \\n, and no NUL, which PostgreSQL refuses."""
    return request.form.get(name, "").replace("\x00", "").replace("\r\n", "\n").strip()
