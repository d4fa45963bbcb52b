"""Numbers for the office."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import ColumnElement, func, select

from shop.database import ReportSession
from shop.models import Customer, Order
from shop.schemas import Dashboard, DaySales

router = APIRouter(prefix="/reports", tags=["reports"])


@router.get("/dashboard")
async def dashboard() -> Dashboard:
    newest, customers, open_orders, revenue = await asyncio.gather(
        number(select(func.max(Order.id))),
        number(select(func.count(Customer.id))),
        number(select(func.count(Order.id)).where(Order.status == "open")),
        number(select(func.sum(Order.total)).where(Order.status == "paid")),
    )
    return Dashboard(customers=customers, open_orders=open_orders, revenue=revenue, newest_order=newest or None)


@router.get("/sales")
async def sales() -> list[DaySales]:
    return await sales_by_day()


@router.get("/sales.csv")
async def export() -> Response:
    lines = ["day,orders,revenue"]
    for sold in await sales_by_day():
        lines.append(f"{sold.day},{sold.orders},{sold.revenue}")
    return Response("\n".join(lines) + "\n", media_type="text/csv")


async def number(statement: Any) -> int:
    """A single number, over a connection of its own."""
    async with ReportSession() as session:
        return await session.scalar(statement) or 0


async def sales_by_day() -> list[DaySales]:
    day: ColumnElement[str] = func.date(Order.placed_at)
    async with ReportSession() as session:
        paid = await session.execute(
            select(day, func.count(Order.id), func.sum(Order.total)).where(Order.status == "paid").group_by(day)
        )
        return [DaySales(day=day, orders=orders, revenue=revenue) for day, orders, revenue in paid]
