"""Passwords of the staff: what a good one is, how it is kept, and the one-time ones that an administrator hands over.

NIST SP 800-63B: at least 8 characters, long ones allowed, no rules about kinds of characters, nothing common or made of the
person's own names, no change without a reason. What is common is zxcvbn's to say (https://github.com/dwolfhub/zxcvbn-python):
it estimates how many guesses a password takes, with lists of common ones, names, keyboard runs and dates.
"""

import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from zxcvbn import zxcvbn

from backend.errors import Refused

SHORTEST: Final = 8
LONGEST: Final = 200
"""What the log-in page reads."""
LEAST_SCORE: Final = 3
"""zxcvbn's "safely unguessable": from 10^8 guesses on, against which Argon2 and the lock after wrong tries stand."""
LOOKED_AT: Final = 72
"""zxcvbn takes no more characters."""
ONE_TIME_LASTS: Final = timedelta(days=3)
"""For so long a password that an administrator handed over logs its person in, once, to choose their own."""
NOT_CONFUSED: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""No 0 and O, no 1, l and I: it is read aloud or from paper."""

HASHER: Final = PasswordHasher()  # Argon2id with RFC 9106's low-memory parameters, the library's default
NOBODY: Final = HASHER.hash("nobody has this password")  # so that an unknown name takes as long as a wrong password


def hashed(password: str) -> str:
    """What is kept of a password."""
    return HASHER.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Whether this is the password; None: there is nobody whose it could be, which takes as long."""
    try:
        return HASHER.verify(password_hash or NOBODY, password) and password_hash is not None
    except (VerifyMismatchError, InvalidHashError):
        return False


def refuse_weak(password: str, own_words: Iterable[str]) -> None:
    """Raise Refused for a password that is short, common, or made of `own_words`, such as the person's names."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused("password_length", shortest=SHORTEST, longest=LONGEST)
    words = [word for word in own_words if word]
    if any(len(word) >= 3 and word.lower() in password.lower() for word in words):
        raise Refused("password_has_name")
    if zxcvbn(password[:LOOKED_AT], user_inputs=[*words, "12345"])["score"] < LEAST_SCORE:
        raise Refused("password_common")


def one_time_password() -> str:
    """Sixteen characters in four groups, 79 bits of chance."""
    return "-".join("".join(secrets.choice(NOT_CONFUSED) for _ in range(4)) for _ in range(4))
