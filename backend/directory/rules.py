"""Who may do what: roles and rights as plain data, and what counts as being there."""

from datetime import timedelta

RIGHTS: dict[str, frozenset[str]] = {
    "operator": frozenset({"conversations", "cases"}),
    "dispatcher": frozenset({"cases"}),
    "agency": frozenset({"cases"}),
    "supervisor": frozenset(
        {"conversations", "cases", "knowledge", "line", "integrations", "supervision", "audit", "directory"}
    ),
    "reviewer": frozenset({"cases"}),
    "auditor": frozenset({"cases", "audit"}),
    "editor": frozenset({"knowledge"}),
}
"""role -> areas of the console that it may enter. What a role may do to a case is in cases/rules.py."""

PRESENCE_LASTS = timedelta(seconds=90)
"""A console that has not been heard of for so long is taken to be closed. Browsers let a page in the background speak only
once a minute."""


def may_enter(role: str, area: str) -> bool:
    """Whether somebody with this role may open pages of this area."""
    return area in RIGHTS.get(role, frozenset())
