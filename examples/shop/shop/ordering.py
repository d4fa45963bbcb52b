"""The life of an order."""

from collections.abc import Sequence

from fastapi import HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from shop import mails
from shop.models import Base, Order, OrderLine, Product
from shop.schemas import NewLine


class OrderService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def place(self, customer_id: int, lines: Sequence[NewLine]) -> Order:
        order = Order(customer_id=customer_id)
        await self._save(order)
        total = 0
        for line in lines:
            product = await self._product(line.sku)
            if product.stock < line.quantity:
                raise HTTPException(409, f"only {product.stock} of {product.sku} left")
            product.stock -= line.quantity
            total += product.price * line.quantity
            self.session.add(
                OrderLine(order_id=order.id, product_id=product.id, quantity=line.quantity, price=product.price)
            )
        order.total = total
        await self._save(order)
        return order

    async def details(self, order_id: int) -> Order:
        order = await self.session.get(Order, order_id, options=[selectinload(Order.lines)])
        if order is None:
            raise HTTPException(404, "no such order")
        return order

    async def cancel(self, order_id: int) -> str:
        order = await self.details(order_id)
        if order.status not in ("open", "paid"):
            raise HTTPException(409, f"the order is {order.status}")
        was_paid = order.status == "paid"
        for line in order.lines:
            product = await self.session.get_one(Product, line.product_id)
            product.stock += line.quantity
        order.status = "cancelled"
        if was_paid:
            mails.send(order.customer.email, "Your order was cancelled", "We will return your money.")
        await self.session.commit()
        return "cancelled"

    async def _product(self, sku: str) -> Product:
        product = await self.session.scalar(select(Product).where(Product.sku == sku))
        if product is None:
            raise HTTPException(404, f"no product {sku}")
        return product

    async def _save(self, row: Base) -> None:
        self.session.add(row)
        await self.session.commit()
        await self.session.refresh(row)
