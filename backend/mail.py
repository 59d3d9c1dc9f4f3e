"""E-mail over the city's own SMTP server: what the outbox has for the channel `email`."""

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import make_msgid

from backend.outbox import NotSent, OutgoingMessage, Sender
from backend.settings import Settings

TIMEOUT = 20.0
"""Seconds to wait for the server."""

Compose = Callable[[OutgoingMessage], EmailMessage]
"""Makes subject, text and attachments of what the outbox has; the rest is filled in here. Raises NotSent for what is no
longer there."""


def make_sender(settings: Settings, compose: Compose) -> Sender:
    """What sends one message. A recipient that the server refuses for good (5xx) is not tried again."""

    def send(message: OutgoingMessage) -> str | None:
        mail = compose(message)
        mail["From"], mail["To"] = settings.mail_from, message.recipient
        mail["Message-ID"] = make_msgid(idstring=f"outbox-{message.id}", domain=settings.mail_from.rsplit("@", 1)[-1])
        try:
            with connected(settings) as server:
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as refused:
            codes = [code for code, _ in refused.recipients.values()]
            raise NotSent(f"SMTP {codes[0]}", final=codes[0] >= 500) from None
        except smtplib.SMTPResponseException as refused:
            raise NotSent(f"SMTP {refused.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(type(error).__name__) from None
        return None

    return send


def connected(settings: Settings) -> smtplib.SMTP:
    """A connection, encrypted as the settings say and logged in where they name a user."""
    host, port = settings.smtp_host, settings.smtp_port
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT)
        if settings.smtp_security == "starttls":
            server.starttls(context=ssl.create_default_context())
    if settings.smtp_user:
        server.login(settings.smtp_user, settings.smtp_password)
    return server
