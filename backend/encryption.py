"""What is encrypted in the record, and how: columns of the types below hold Fernet tokens (AES-128-CBC with HMAC-SHA256,
https://github.com/fernet/spec) of the key ring DATA_KEYS, whose first key encrypts and all of which decrypt.

What is to be found again by its whole value has a keyed hash beside it (HMAC-SHA256 under LOOKUP_KEY, shortened to 128 bits,
RFC 2104, 5). A telephone number has so few digits that a hash without a key could be tried out; nothing is found by a part
of it. `python -m backend.rotate_keys` renews everything under the first key.
"""

import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Dialect, Text
from sqlalchemy.sql import ClauseElement, operators
from sqlalchemy.types import TypeDecorator, TypeEngine

from backend.settings import load_settings

HASH_LENGTH = 32
"""Hexadecimal digits of a keyed hash."""


class KeyRing:
    """The keys of one process: `keys` is DATA_KEYS (commas between them, first one encrypts), `lookup_key` LOOKUP_KEY."""

    def __init__(self, keys: str, lookup_key: str) -> None:
        each = [Fernet(key.strip()) for key in keys.split(",")]
        self._first, self._all, self._lookup_key = each[0], MultiFernet(each), lookup_key.encode()

    def encrypt(self, text: str) -> str:
        """The text as a token of the first key."""
        return self._first.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """The text of a token. Raises InvalidToken when no key of the ring made it."""
        return self._all.decrypt(token.encode()).decode()

    def renew(self, token: str) -> str:
        """The token itself if the first key made it, else its text as a token of that key. Raises InvalidToken."""
        made_by_first = self._is_of_first(token)
        return token if made_by_first else self._all.rotate(token.encode()).decode()

    def _is_of_first(self, token: str) -> bool:
        try:
            self._first.extract_timestamp(token.encode())  # checks the signature, without decrypting
        except InvalidToken:
            return False
        return True

    def hash(self, text: str) -> str:
        """The keyed hash by which the text is found again."""
        return hmac.new(self._lookup_key, text.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH]


@cache
def key_ring() -> KeyRing:
    """The ring of the settings."""
    settings = load_settings()
    return KeyRing(settings.data_keys, settings.lookup_key)


def lookup_hash(text: str | None) -> str | None:
    """What the column beside an encrypted one holds: the keyed hash of a value, None for none."""
    return key_ring().hash(text) if text else None


class Encrypted(TypeDecorator[str]):
    """Text that the database only ever sees encrypted. Two tokens of one text differ, so SQL can ask whether there is
    one and nothing else; whoever would compare it compares the hash beside it."""

    impl = Text
    cache_ok = True

    class Comparator(TypeDecorator.Comparator[Any]):
        """Refuses what would silently find nothing."""

        def operate(self, op: operators.OperatorType, *other: Any, **options: Any) -> Any:
            """Anything with a plain value but IS NULL; SQLAlchemy itself compares columns with each other."""
            if op not in (operators.is_, operators.is_not) and not all(isinstance(one, ClauseElement) for one in other):
                raise TypeError("an encrypted column can't be compared with a value; use the hash beside it")
            return super().operate(op, *other, **options)

    comparator_factory = Comparator

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else key_ring().encrypt(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else key_ring().decrypt(value)


class EncryptedJson(TypeDecorator[Any]):
    """JSON that the database only ever sees encrypted; None is NULL."""

    impl = Text
    cache_ok = True
    comparator_factory = Encrypted.Comparator

    def coerce_compared_value(self, op: operators.OperatorType | None, value: Any) -> TypeEngine[Any]:
        return self

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else key_ring().encrypt(json.dumps(value, ensure_ascii=False))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(key_ring().decrypt(value))
