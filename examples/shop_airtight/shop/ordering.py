"""The life of an order."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from shop.models import Order, OrderLine, Product
from shop.schemas import NewLine


@dataclass(frozen=True)
class Cancelled:
    """What is left to do once an order is cancelled: tell the customer, if it was paid."""

    email: str
    was_paid: bool


class OrderService:
    """Reads and writes; whoever owns the session commits."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def place(self, customer_id: int, lines: Sequence[NewLine]) -> Order:
        order = Order(customer_id=customer_id, total=0)
        for line in sorted(lines, key=lambda line: line.sku):
            product = await self._product(line.sku)
            if product.stock < line.quantity:
                raise HTTPException(409, f"only {product.stock} of {product.sku} left")
            product.stock -= line.quantity
            order.total += product.price * line.quantity
            order.lines.append(OrderLine(product_id=product.id, quantity=line.quantity, price=product.price))
        self.session.add(order)
        return order

    async def details(self, order_id: int) -> Order:
        order = await self.session.get(Order, order_id, options=[selectinload(Order.lines)])
        if order is None:
            raise HTTPException(404, "no such order")
        return order

    async def cancel(self, order_id: int) -> Cancelled:
        order = await self.session.get(
            Order, order_id, options=[selectinload(Order.lines), joinedload(Order.customer)], with_for_update=True
        )
        if order is None:
            raise HTTPException(404, "no such order")
        if order.status not in ("open", "paid"):
            raise HTTPException(409, f"the order is {order.status}")
        cancelled = Cancelled(order.customer.email, was_paid=order.status == "paid")
        for line in order.lines:
            product = await self.session.get_one(Product, line.product_id, with_for_update=True)
            product.stock += line.quantity
        order.status = "cancelled"
        return cancelled

    async def _product(self, sku: str) -> Product:
        product = await self.session.scalar(select(Product).where(Product.sku == sku).with_for_update())
        if product is None:
            raise HTTPException(404, f"no product {sku}")
        return product
