"""Payments through the payment provider."""

import logging
from dataclasses import dataclass

import httpx
from fastapi import HTTPException
from sqlalchemy.ext.asyncio import AsyncSession

from shop import sandbox
from shop.database import AsyncSessionLocal
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

    async def refund(self, reference: str) -> None:
        await self._post("/refunds", {"reference": reference})

    async def _post(self, path: str, data: dict[str, object]) -> dict[str, object]:
        transport = None if settings.payment_url else sandbox.transport
        url = settings.payment_url or "https://payments.test"
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=30) as client:
            response = await client.post(path, json=data)
            response.raise_for_status()
            answer: dict[str, object] = response.json()
            return answer


gateway = Gateway()


async def pay(order_id: int) -> Payment:
    """Charge for an order. No transaction is open meanwhile, so the order is looked at again afterwards."""
    async with AsyncSessionLocal() as session:
        order = await find_open(session, order_id)
        amount = order.total
    receipt = await gateway.charge(order_id, amount)
    if not receipt.accepted:
        await decline(order_id)
        raise HTTPException(402, "the payment was declined")
    try:
        return await settle(order_id, amount, receipt.reference)
    except HTTPException:
        await gateway.refund(receipt.reference)
        raise


async def settle(order_id: int, amount: int, reference: str) -> Payment:
    async with AsyncSessionLocal.begin() as session:
        order = await find_open(session, order_id, lock=True)
        order.status = "paid"
        payment = Payment(order_id=order_id, amount=amount, reference=reference)
        session.add(payment)
    return payment


async def decline(order_id: int) -> None:
    async with AsyncSessionLocal.begin() as session:
        order = await find_open(session, order_id, lock=True)
        order.status = "declined"
    log.warning("payment of order %s was declined", order_id)


async def find_open(session: AsyncSession, order_id: int, lock: bool = False) -> Order:
    order = await session.get(Order, order_id, with_for_update=lock)
    if order is None:
        raise HTTPException(404, "no such order")
    if order.status != "open":
        raise HTTPException(409, f"the order is {order.status}")
    return order
