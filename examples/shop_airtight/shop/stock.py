"""Stock: deliveries, the supplier, and what runs low."""

import csv
import logging
from collections.abc import Iterable
from io import StringIO

import httpx
from fastapi import APIRouter, Body, HTTPException
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from shop import sandbox
from shop.database import SessionLocal
from shop.models import Product
from shop.settings import settings

log = logging.getLogger(__name__)
router = APIRouter(prefix="/stock", tags=["stock"])


@router.post("/import")
def upload(text: str = Body(media_type="text/csv")) -> dict[str, int]:
    return {"imported": import_products(csv.DictReader(StringIO(text)))}


@router.get("/low")
def low(threshold: int = 5) -> list[str]:
    return running_low(threshold)


@router.get("/{sku}")
def label(sku: str) -> dict[str, str]:
    with SessionLocal() as session:
        product = session.scalar(select(Product).where(Product.sku == sku))
        if product is None:
            raise HTTPException(404, "no such product")
        return {"label": f"{product.sku} · {product.name}", "stock": str(product.stock)}


@router.post("/{sku}/order")
def order_more(sku: str) -> dict[str, int]:
    return {"ordered": restock(sku)}


def import_products(rows: Iterable[dict[str, str]]) -> int:
    """Add the products of a delivery; those that are known already are skipped."""
    imported = 0
    with SessionLocal() as session:
        for row in rows:
            try:
                session.add(Product(sku=row["sku"], name=row["name"], price=int(row["price"]), stock=int(row["stock"])))
                session.commit()
                imported += 1
            except IntegrityError:
                session.rollback()
                log.warning("skipped %s, it is known already", row["sku"])
    return imported


def running_low(threshold: int) -> list[str]:
    with SessionLocal() as session:
        products = session.scalars(select(Product).where(Product.stock < threshold))
        return [f"{product.sku}: {product.stock} left" for product in products]


def restock(sku: str) -> int:
    """Order from the supplier what is missing to twice the reorder level."""
    available = ask_supplier(sku)
    with SessionLocal.begin() as session:
        product = session.scalars(select(Product).where(Product.sku == sku).with_for_update()).one()
        missing = 2 * product.reorder_level - product.stock
        if missing <= 0:
            return 0
        ordered = min(missing, available)
        product.stock += ordered
        return ordered


def ask_supplier(sku: str) -> int:
    transport = None if settings.supplier_url else sandbox.transport
    with httpx.Client(base_url=settings.supplier_url or "https://supplier.test", transport=transport) as client:
        response = client.get(f"/stock/{sku}")
        response.raise_for_status()
        return int(response.json()["available"])
