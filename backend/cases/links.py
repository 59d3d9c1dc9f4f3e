"""Signed links to a case (itsdangerous): who has one needs no digits, for so long. Pure but for the library's own clock."""

from datetime import timedelta

from itsdangerous import BadSignature, TimestampSigner

from backend.errors import Refused

LASTS = timedelta(days=30)


def sign(secret_key: str, number: str) -> str:
    """The last part of the link to the case of this number."""
    return signer(secret_key).sign(number).decode()


def read(secret_key: str, token: str) -> str:
    """The case number that a link was made for. Raises Refused (404) for one that is too old or was not made here."""
    try:
        return signer(secret_key).unsign(token, max_age=int(LASTS.total_seconds())).decode()
    except BadSignature as error:
        raise Refused("link_expired", 404) from error


def signer(secret_key: str) -> TimestampSigner:
    """What signs links to cases, and nothing else."""
    return TimestampSigner(secret_key, salt="case")
