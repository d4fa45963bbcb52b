"""Payments through the payment provider."""

import logging
from dataclasses import dataclass

import httpx
from fastapi import HTTPException
from sqlalchemy.ext.asyncio import AsyncSession

from shop import sandbox
from shop.models import Order, Payment
from shop.settings import settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Receipt:
    accepted: bool
    reference: str


class Gateway:
    """The payment provider."""

    async def charge(self, order_id: int, amount: int) -> Receipt:
        answer = await self._post("/charges", {"order": order_id, "amount": amount})
        return Receipt(bool(answer["accepted"]), str(answer["reference"]))

    async def _post(self, path: str, data: dict[str, object]) -> dict[str, object]:
        transport = None if settings.payment_url else sandbox.transport
        url = settings.payment_url or "https://payments.test"
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=30) as client:
            response = await client.post(path, json=data)
            response.raise_for_status()
            answer: dict[str, object] = response.json()
            return answer


gateway = Gateway()


async def pay(session: AsyncSession, order_id: int) -> Payment:
    order = await session.get(Order, order_id)
    if order is None:
        raise HTTPException(404, "no such order")
    if order.status != "open":
        raise HTTPException(409, f"the order is {order.status}")
    receipt = await gateway.charge(order.id, order.total)
    if not receipt.accepted:
        order.status = "declined"
        await session.commit()
        log.warning("payment of order %s was declined", order.id)
        raise HTTPException(402, "the payment was declined")
    payment = Payment(order_id=order.id, amount=order.total, reference=receipt.reference)
    session.add(payment)
    order.status = "paid"
    await session.commit()
    await session.refresh(payment)
    return payment
