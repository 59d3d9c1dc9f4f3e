"""JSON bodies that strangers send, as far as anything behind can work with them: nested no deeper than Python reads, and
text that can be written down (half of a surrogate pair can't, https://www.rfc-editor.org/rfc/rfc8259#section-8.2)."""

from typing import Any

from flask import request
from flask.json.provider import DefaultJSONProvider

HALF_PAIR = "\\ud"
"""How the escape of half a pair begins; of whole pairs, too."""


class StrictJson(DefaultJSONProvider):
    """Flask's own JSON, which refuses the rest like any other that is not well formed."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON. Raises ValueError."""
        try:
            read = super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        text = s.decode("utf-8", "replace") if isinstance(s, bytes) else s
        if HALF_PAIR in text.lower():
            self.dumps(read, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
        return read


def refuse_unreadable() -> None:
    """Before a request: what comes as JSON can be read, whoever reads it later. Raises BadRequest (400)."""
    if request.is_json and request.get_data():
        request.get_json()
