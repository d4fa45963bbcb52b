"""Numbers for the office."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import ColumnElement, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, sessionmaker

from shop.database import AsyncDb
from shop.models import Customer, Order
from shop.schemas import Dashboard, DaySales
from shop.settings import settings

router = APIRouter(prefix="/reports", tags=["reports"])


@router.get("/dashboard")
async def dashboard(session: AsyncDb) -> Dashboard:
    newest = await session.scalar(select(Order).order_by(Order.id.desc()).limit(1))
    customers, open_orders, revenue = await asyncio.gather(
        number(session, select(func.count(Customer.id))),
        number(session, select(func.count(Order.id)).where(Order.status == "open")),
        number(session, select(func.sum(Order.total)).where(Order.status == "paid")),
    )
    return Dashboard(
        customers=customers, open_orders=open_orders, revenue=revenue, newest_order=newest.id if newest else None
    )


@router.get("/sales")
def sales() -> list[DaySales]:
    return sales_by_day()


@router.get("/sales.csv")
async def export() -> Response:
    lines = ["day,orders,revenue"]
    for sold in sales_by_day():
        lines.append(f"{sold.day},{sold.orders},{sold.revenue}")
    return Response("\n".join(lines) + "\n", media_type="text/csv")


async def number(session: AsyncSession, statement: Any) -> int:
    return await session.scalar(statement) or 0


def reporting_session() -> Session:
    """Reports only read, so they get an engine that never writes."""
    engine = create_engine(settings.database_url, execution_options={"isolation_level": "AUTOCOMMIT"})
    return sessionmaker(engine)()


def sales_by_day() -> list[DaySales]:
    day: ColumnElement[str] = func.date(Order.placed_at)
    session = reporting_session()
    paid = session.execute(
        select(day, func.count(Order.id), func.sum(Order.total)).where(Order.status == "paid").group_by(day)
    )
    return [DaySales(day=day, orders=orders, revenue=revenue) for day, orders, revenue in paid]
