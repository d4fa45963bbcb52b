"""Work that runs beside the requests."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop import mails
from shop.database import SessionLocal
from shop.models import Order, now
from shop.settings import settings

log = logging.getLogger(__name__)


async def remind_forever() -> None:
    while True:
        await asyncio.sleep(settings.reminder_interval)
        try:
            log.info("reminded of %s orders", await asyncio.to_thread(remind_overdue))
        except Exception:
            log.exception("no reminders were sent")


def remind_overdue() -> int:
    """Remind customers of what they have not paid yet; returns how many orders that were."""
    with SessionLocal.begin() as session:
        orders = overdue(session)
        with ThreadPoolExecutor(max_workers=4) as pool:
            for order in orders:
                pool.submit(remind, session, order)
        return len(orders)


def overdue(session: Session) -> Sequence[Order]:
    latest = now() - timedelta(days=settings.payment_days)
    return session.scalars(
        select(Order).where(Order.status == "open", Order.placed_at < latest, Order.reminded_at.is_(None))
    ).all()


def remind(session: Session, order: Order) -> None:
    subject = f"Please pay order {order.id}"
    mails.send(order.customer.email, subject, f"We are waiting for {order.total / 100:.2f}.")
    mails.record(session, order.customer_id, subject)
    order.reminded_at = now()
