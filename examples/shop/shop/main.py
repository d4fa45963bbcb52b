"""The application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text

from shop import customers, jobs, orders, products, reports, stock
from shop.database import AsyncDb, async_engine, engine
from shop.models import Base


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    Base.metadata.create_all(engine)
    reminders = asyncio.create_task(jobs.remind_forever())
    yield
    reminders.cancel()
    await async_engine.dispose()
    engine.dispose()


app = FastAPI(title="Shop", lifespan=lifespan)
for module in (customers, products, stock, orders, reports):
    app.include_router(module.router)


@app.get("/health")
async def health(session: AsyncDb) -> dict[str, str]:
    await session.execute(text("SELECT 1"))
    return {"status": "ok"}
