"""Who may do what: roles and rights as plain data, and what counts as being there."""

from datetime import timedelta

AREAS: dict[str, str] = {
    "conversations": "talk with citizens: desk, queue, telephone",
    "cases": "cases: list, page, the acts that the table of cases/rules.py gives the role",
    "inbox": "an agency's own desk: what lies with it, its templates",
    "dispatch": "what routing was unsure of; agencies to choose from",
    "supervision": "lists by deadline, agency and repetition; the register of orders; the floor",
    "deadlines": "periods and working days",
    "directory": "agencies, categories, what routing has learned",
    "line": "announcements, old numbers, prompts, settings of the line",
    "knowledge": "articles, documents, gaps",
    "appeals": "rulings on agencies' appeals against ratings",
    "insight": "figures, hot issues, assessment, reports",
    "integrations": "keys and webhooks of other systems",
    "people": "the staff: adding, roles, locking, passwords",
    "settings": "what a city sets at run time",
    "erasure": "what a citizen has asked to be erased, how long what is kept",
    "audit": "who changed what, who looked at who a citizen is",
    "self": "one's own password, second factor, sessions",
}
"""Area of the console -> what is in it. Every page belongs to one or more of them (console/log_in.py, `allowed`)."""

RIGHTS: dict[str, frozenset[str]] = {
    role: frozenset({"self", *areas.split()})
    for role, areas in {
        "operator": "conversations cases",
        "dispatcher": "cases dispatch",
        "agency": "cases inbox",
        "reviewer": "cases appeals",
        "supervisor": "conversations cases dispatch supervision appeals deadlines directory line knowledge insight"
        " integrations audit erasure",
        "editor": "knowledge",
        "analyst": "insight",
        "auditor": "cases audit",
        "admin": "people settings deadlines directory line integrations audit",
    }.items()
}
"""Role -> areas of the console that it may enter, all in this one table. What a role may do to a case is in cases/rules.py.
An administrator sees no cases: who runs the line need not read what citizens say."""

PRESENCE_LASTS = timedelta(seconds=90)
"""A console that has not been heard of for so long is taken to be closed. Browsers let a page in the background speak only
once a minute."""


def may_enter(role: str, area: str) -> bool:
    """Whether somebody with this role may open pages of this area."""
    return area in RIGHTS.get(role, frozenset())
