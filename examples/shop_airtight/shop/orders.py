"""Orders over HTTP."""

from fastapi import APIRouter, BackgroundTasks

from shop import mails, payments
from shop.customers import award_points
from shop.database import AsyncDb
from shop.models import Order, Payment
from shop.ordering import OrderService
from shop.schemas import NewOrder, OrderDetails, OrderOut, PaymentOut

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post("", status_code=201, response_model=OrderOut)
async def place(data: NewOrder, session: AsyncDb) -> Order:
    async with session.begin():
        return await OrderService(session).place(data.customer_id, data.lines)


@router.get("/{order_id}", response_model=OrderDetails)
async def show(order_id: int, session: AsyncDb) -> Order:
    return await OrderService(session).details(order_id)


@router.post("/{order_id}/cancel")
async def cancel(order_id: int, session: AsyncDb, tasks: BackgroundTasks) -> dict[str, str]:
    async with session.begin():
        cancelled = await OrderService(session).cancel(order_id)
    if cancelled.was_paid:
        tasks.add_task(mails.send, cancelled.email, "Your order was cancelled", "We will return your money.")
    return {"status": "cancelled"}


@router.post("/{order_id}/payment", status_code=201, response_model=PaymentOut)
async def pay(order_id: int, tasks: BackgroundTasks) -> Payment:
    payment = await payments.pay(order_id)
    tasks.add_task(award_points, order_id)
    return payment
