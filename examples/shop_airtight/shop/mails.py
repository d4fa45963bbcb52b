"""Mails to customers."""

import logging
import smtplib
from email.message import EmailMessage

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from shop.models import Mail
from shop.settings import settings

log = logging.getLogger(__name__)


def send(to: str, subject: str, body: str) -> None:
    """Send a mail, or log it where no mail server is configured."""
    if settings.smtp_host is None:
        log.info("mail to %s: %s", to, subject)
        return
    message = EmailMessage()
    message["From"] = "shop@example.com"
    message["To"] = to
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(settings.smtp_host) as server:
        server.send_message(message)


def record(session: Session, customer_id: int, subject: str) -> None:
    """Note that a customer got a mail. A failure undoes the note, and nothing else of the transaction."""
    try:
        with session.begin_nested():
            session.add(Mail(customer_id=customer_id, subject=subject))
    except SQLAlchemyError:
        log.exception("mail %r to customer %s was not recorded", subject, customer_id)
