"""Reports as e-mails: who gets them, and what they get."""

import re
from datetime import datetime
from email.message import EmailMessage
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database import Database
from backend.errors import Refused
from backend.insight import warning
from backend.insight.models import Alert, Recipient, Report
from backend.insight.names import names
from backend.insight.reports import CAUGHT_UP, SAID
from backend.mail import Compose
from backend.outbox import NotSent, OutgoingMessage
from bot.catalogue import LOCALES

ADDRESS: Final = re.compile(r"[^@\s,;<>\"]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
DOCX: Final = ("application", "vnd.openxmlformats-officedocument.wordprocessingml.document")


def add_recipient(session: Session, kind: str, locale: str, address: str, now: datetime) -> None:
    """From the next report (or alert) of this kind on it goes to this address, too. Raises Refused for what is none."""
    if kind not in (*CAUGHT_UP, "alert") or locale not in LOCALES:
        raise Refused("bad_request")
    if not ADDRESS.fullmatch(address) or len(address) > 200:
        raise Refused("address_unreadable")
    same = select(Recipient).where(Recipient.kind == kind, Recipient.address == address)
    if there := session.scalar(same):
        there.locale = locale
    else:
        session.add(Recipient(kind=kind, locale=locale, address=address, added_at=now))


def remove_recipient(session: Session, recipient_id: int) -> None:
    """No more reports to this address. Raises Refused (404) for one that isn't there."""
    recipient = session.get(Recipient, recipient_id)
    if recipient is None:
        raise Refused("not_found", 404)
    session.delete(recipient)


def recipients(session: Session) -> list[Recipient]:
    """All who get reports."""
    return list(session.scalars(select(Recipient).order_by(Recipient.kind, Recipient.address)))


def file_name(report: Report, form: str) -> str:
    """What a report's file is called."""
    return f"12345-{report.kind}-{report.since:%Y%m%d}-{report.locale}.{form}"


def composer(database: Database, address: str) -> Compose:
    """What makes the e-mail of a report in the outbox; `address` is the line's base URL."""

    def compose(message: OutgoingMessage) -> EmailMessage:
        with database.read() as session:
            if "alert" in message.body:
                return alert_mail(session, message.body["alert"], message.body["locale"], address)
            report = session.get(Report, message.body["report"])
            if report is None:
                raise NotSent("the report is gone", final=True)
            title, period = report.content["title"], report.content["period"]
            mail = EmailMessage()
            mail["Subject"] = SAID.say("subject", report.locale, title=title, period=period).text
            first = report.content["sections"][0]["paragraph"]
            below = SAID.say("attached", report.locale, address=f"{address}/console/insight/reports").text
            mail.set_content(f"{first}\n\n{below}\n")
            mail.add_attachment(report.docx, maintype=DOCX[0], subtype=DOCX[1], filename=file_name(report, "docx"))
            mail.add_attachment(report.pdf, maintype="application", subtype="pdf", filename=file_name(report, "pdf"))
        return mail

    return compose


def alert_mail(session: Session, alert_id: int, locale: str, address: str) -> EmailMessage:
    """The e-mail of an alert: what and where it is, how unusual, and the page that has the rest."""
    alert = session.get(Alert, alert_id)
    if alert is None:
        raise NotSent("the alert is gone", final=True)
    called = names(session, locale)
    everywhere, everything = (SAID.say(f"alert_{name}", locale).text for name in ("everywhere", "everything"))
    subject = warning.subject(alert, called, everywhere, everything)
    mail = EmailMessage()
    mail["Subject"] = SAID.say("alert_subject", locale, subject=subject).text
    facts = {"subject": subject, "hours": alert.hours, "count": alert.count, "expected": f"{alert.expected:.1f}"}
    said = SAID.say("alert_topic" if alert.kind == "topic" else "alert_body", locale, **facts).text
    mail.set_content(f"{said}\n\n{address}/console/insight/alerts/{alert.id}\n")
    return mail
