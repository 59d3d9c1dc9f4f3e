"""Other systems, for supervisors: keys of the API, who is told by webhook, and what Open311 shows the public."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from backend import webhooks
from backend.api import keys
from backend.api.models import PublicRequest
from backend.attachments import as_response, with_content
from backend.cases.models import Case
from backend.cases.rules import ACTS
from backend.console.cases import is_hidden, may_see
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.directory.service import agencies
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

SHOWN_REQUESTS = 50
"""How many of the newest public requests the page lists."""


@allowed("integrations")
def show_integrations() -> ResponseReturnValue:
    """All of it on one page."""
    return page()


def page(made: str | None = None, refused: Refused | None = None) -> ResponseReturnValue:
    """The page; after making a key or a subscription with what was `made`, which is shown this once."""
    with parts().database.read() as session:
        newest = select(PublicRequest).options(joinedload(PublicRequest.case)).order_by(PublicRequest.case_id.desc())
        html = render_template(
            "console/integrations.html",
            keys=keys.keys(session),
            scopes=keys.SCOPES,
            subscriptions=webhooks.subscriptions(session),
            requests=list(session.scalars(newest.limit(SHOWN_REQUESTS))),
            acts=["file", *ACTS],
            agencies=agencies(session),
            made=made,
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=url_for("console.integrations"),
        )
    return html, refused.status if refused else 200


@allowed("integrations")
def make_key() -> ResponseReturnValue:
    """Make a key and show it, this once."""
    try:
        with parts().database.write() as session:
            scopes = set(request.form.getlist("scope"))
            _, key = keys.make_key(session, field("name"), scopes, field("agency") or None, parts().clock())
    except Refused as refusal:
        return page(refused=refusal)
    return page(made=key)


@allowed("integrations")
def revoke_key(key_id: int) -> ResponseReturnValue:
    """From now on this key opens nothing."""
    with parts().database.write() as session:
        keys.revoke(session, key_id, parts().clock())
    return redirect(url_for("console.integrations"))


@allowed("integrations")
def subscribe() -> ResponseReturnValue:
    """Subscribe an address to what happens to cases, and show the secret of its signatures, this once."""
    known = {f"case.{act}" for act in ("file", *ACTS)}
    events = sorted(known.intersection(request.form.getlist("event")))
    now = parts().clock()
    try:
        with parts().database.write() as session:
            agency = field("agency") or None
            made = webhooks.subscribe(session, field("name"), field("url"), events, agency, now)
    except Refused as refusal:
        return page(refused=refusal)
    return page(made=made.secret)


@allowed("integrations")
def end_subscription(subscription_id: int) -> ResponseReturnValue:
    """Tell this address nothing any more."""
    with parts().database.write() as session:
        webhooks.end(session, subscription_id, parts().clock())
    return redirect(url_for("console.integrations"))


@allowed("integrations")
def set_hidden(case_id: int) -> ResponseReturnValue:
    """Take a request out of the public's sight, or show it again."""
    with parts().database.write() as session:
        shown = session.get(PublicRequest, case_id)
        if shown is None:
            raise Refused("not_found", 404)
        shown.hidden = field("hidden") == "yes"
    return redirect(url_for("console.integrations"))


@allowed("cases", "conversations")
def download_attachment(attachment_id: int) -> ResponseReturnValue:
    """A file that came with a conversation or a case; for an agency those of its own cases."""
    with parts().database.read() as session:
        found = with_content(session, attachment_id)
        if me().role == "agency":
            case = session.get(Case, found.case_id) if found.case_id else None
            from_citizen = found.staff_id is None
            if case is None or not may_see(session, me(), case) or (from_citizen and is_hidden(me(), case)):
                raise Refused("not_found", 404)
        return as_response(found)
