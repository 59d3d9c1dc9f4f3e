"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and ten recovery codes for when the telephone is gone.

The secret is kept encrypted with a key from the settings, so that a copy of the record alone makes no codes. A code is good
once (RFC 6238, 5.2) and half a minute before and after its time. Of recovery codes only hashes are kept.
"""

import base64
from datetime import datetime
from typing import Final

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import ForeignKey, String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.audit import put_down
from backend.database import Base
from backend.directory.models import Staff
from backend.directory.passwords import one_time_password
from backend.directory.sessions import hash_of
from backend.errors import Refused

RECOVERY_CODES: Final = 10
STEP: Final = 30  # seconds, what every authenticator app expects


class RecoveryCode(Base):
    """One code that was not used yet; it is chance enough not to need a slow hash."""

    __tablename__ = "recovery_codes"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)


def cipher(key: str) -> Fernet:
    """What encrypts secrets with a setting of any length."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"second factor").derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def new_secret(key: str) -> str:
    """A secret that nobody has yet, encrypted."""
    return cipher(key).encrypt(pyotp.random_base32().encode()).decode()


def opened(encrypted: str, key: str) -> str:
    """The secret itself. Raises Refused when it was encrypted with another key."""
    try:
        return cipher(key).decrypt(encrypted.encode()).decode()
    except InvalidToken as error:
        raise Refused("second_factor_unreadable", 409) from error


def picture(encrypted: str, key: str, username: str, issuer: str) -> str:
    """The QR code that an app scans, as the address of an image with the picture in it."""
    uri = pyotp.TOTP(opened(encrypted, key)).provisioning_uri(name=username, issuer_name=issuer)
    return str(segno.make(uri, micro=False).svg_data_uri(scale=5, border=4, light="white"))


def step_of(encrypted: str, key: str, code: str, now: datetime) -> int | None:
    """The step of time whose code this is, the one now or one beside it; None: it is none."""
    totp, step = pyotp.TOTP(opened(encrypted, key), interval=STEP), int(now.timestamp()) // STEP
    code = code.replace(" ", "")
    return next((at for at in (step, step - 1, step + 1) if pyotp.utils.strings_equal(totp.at(at * STEP), code)), None)


def turn_on(session: Session, staff: Staff, encrypted: str, key: str, code: str, now: datetime) -> list[str]:
    """From now on a code is asked for at the log-in; returns the recovery codes, which are told once. Raises Refused when
    the app doesn't show this code, which is how we know that it has the secret."""
    step = step_of(encrypted, key, code, now)
    if step is None:
        raise Refused("code_wrong")
    staff.totp_secret, staff.totp_step = encrypted, step
    session.execute(delete(RecoveryCode).where(RecoveryCode.staff_id == staff.id))
    codes = [one_time_password() for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(code_hash=hash_of(one), staff_id=staff.id) for one in codes)
    return codes


def turn_off(session: Session, staff: Staff) -> None:
    """No code is asked for any more."""
    staff.totp_secret = staff.totp_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.staff_id == staff.id))


def use_code(session: Session, staff: Staff, key: str, code: str, now: datetime) -> bool:
    """Whether this is a code of theirs, which is used up by it."""
    step = step_of(staff.totp_secret or "", key, code, now)
    if step is not None and step > (staff.totp_step or 0):
        staff.totp_step = step
        return True
    used = delete(RecoveryCode).where(
        RecoveryCode.staff_id == staff.id, RecoveryCode.code_hash == hash_of(code.strip().lower())
    )
    if session.execute(used.returning(RecoveryCode.code_hash)).first() is None:
        return False
    put_down(session, "log_in", str(staff.id), "recovery_code")
    return True


def codes_left(session: Session, staff: Staff) -> int:
    """How many recovery codes were not used."""
    return session.scalar(select(func.count()).where(RecoveryCode.staff_id == staff.id)) or 0
