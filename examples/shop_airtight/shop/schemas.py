"""What goes over the wire."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewCustomer(BaseModel):
    name: str
    email: str


class CustomerOut(_Row):
    id: int
    name: str
    email: str
    points: int


class Gift(BaseModel):
    to: int
    points: int = Field(gt=0)


class NewProduct(BaseModel):
    sku: str
    name: str
    price: int = Field(gt=0)
    stock: int = 0


class ProductOut(_Row):
    sku: str
    name: str
    price: int
    stock: int


class NewLine(BaseModel):
    sku: str
    quantity: int = Field(gt=0)


class NewOrder(BaseModel):
    customer_id: int
    lines: list[NewLine]


class LineOut(_Row):
    product_id: int
    quantity: int
    price: int


class OrderOut(_Row):
    id: int
    customer_id: int
    status: str
    total: int
    placed_at: datetime


class OrderDetails(OrderOut):
    lines: list[LineOut]


class PaymentOut(_Row):
    reference: str
    amount: int
    status: str


class DaySales(BaseModel):
    day: str
    orders: int
    revenue: int


class Dashboard(BaseModel):
    customers: int
    open_orders: int
    revenue: int
    newest_order: int | None
