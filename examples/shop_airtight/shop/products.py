"""The catalogue."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shop.database import Db
from shop.models import Product
from shop.schemas import NewProduct, ProductOut

router = APIRouter(prefix="/products", tags=["products"])


class Catalog:
    """Finds products."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def by_sku(self, sku: str) -> Product | None:
        return self.session.scalar(select(Product).where(Product.sku == sku))

    def search(self, text: str) -> Sequence[Product]:
        return self.session.scalars(select(Product).where(Product.name.contains(text)).order_by(Product.name)).all()


def get_catalog(db: Db) -> Catalog:
    return Catalog(db)


Products = Annotated[Catalog, Depends(get_catalog)]


@router.get("", response_model=list[ProductOut])
def search(catalog: Products, text: str = "") -> Sequence[Product]:
    return catalog.search(text)


@router.get("/{sku}", response_model=ProductOut)
def show(sku: str, catalog: Products) -> Product:
    product = catalog.by_sku(sku)
    if product is None:
        raise HTTPException(404, "no such product")
    return product


@router.post("", status_code=201, response_model=ProductOut)
def add(data: NewProduct, db: Db) -> Product:
    product = Product(**data.model_dump())
    db.add(product)
    try:
        db.commit()
    except IntegrityError:
        db.rollback()
        raise HTTPException(409, "there is a product with this number") from None
    return product
