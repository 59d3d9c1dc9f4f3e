"""Names of the staff, for pages that show who did what."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.directory.models import Staff


def staff_names(session: Session, ids: Iterable[int | None]) -> dict[int, str]:
    """The names of the staff with these ids."""
    wanted = {staff_id for staff_id in ids if staff_id is not None}
    if not wanted:
        return {}
    found = session.execute(select(Staff.id, Staff.name).where(Staff.id.in_(wanted)))
    return {staff_id: name for staff_id, name in found}
