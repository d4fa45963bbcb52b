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
    with SessionLocal() as session:
        orders = overdue(session)
    with ThreadPoolExecutor(max_workers=4) as pool:
        for order_id in orders:
            pool.submit(remind, order_id)
    return len(orders)


def overdue(session: Session) -> Sequence[int]:
    latest = now() - timedelta(days=settings.payment_days)
    return session.scalars(
        select(Order.id).where(Order.status == "open", Order.placed_at < latest, Order.reminded_at.is_(None))
    ).all()


def remind(order_id: int) -> None:
    subject = f"Please pay order {order_id}"
    with SessionLocal.begin() as session:
        order = session.get_one(Order, order_id, with_for_update=True)
        if order.status != "open" or order.reminded_at is not None:
            return
        order.reminded_at = now()
        mails.record(session, order.customer_id, subject)
        address, total = order.customer.email, order.total
    mails.send(address, subject, f"We are waiting for {total / 100:.2f}.")
