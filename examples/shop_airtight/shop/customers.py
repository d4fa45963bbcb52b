"""Customers and their loyalty points."""

from collections.abc import Sequence

from fastapi import APIRouter, BackgroundTasks, HTTPException
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shop import mails
from shop.database import Db, SessionLocal
from shop.models import Customer, Order
from shop.schemas import CustomerOut, Gift, NewCustomer, OrderOut

router = APIRouter(prefix="/customers", tags=["customers"])

GOLD = 1000
WELCOME = "Welcome to the shop"


@router.post("", status_code=201, response_model=CustomerOut)
def register(data: NewCustomer, db: Db, tasks: BackgroundTasks) -> Customer:
    customer = Customer(name=data.name, email=data.email)
    db.add(customer)
    try:
        db.flush()
    except IntegrityError:
        raise HTTPException(409, "there is a customer with this address") from None
    mails.record(db, customer.id, WELCOME)
    db.commit()
    tasks.add_task(mails.send, data.email, WELCOME, f"Hello {data.name}!")
    return customer


@router.get("/{customer_id}", response_model=CustomerOut)
def show(customer_id: int, db: Db) -> Customer:
    return find(db, customer_id)


@router.get("/{customer_id}/orders", response_model=list[OrderOut])
def orders(customer_id: int, db: Db) -> Sequence[Order]:
    return db.scalars(select(Order).where(Order.customer_id == customer_id).order_by(Order.id)).all()


@router.post("/{customer_id}/gifts")
def give_points(customer_id: int, gift: Gift, db: Db) -> dict[str, int]:
    giver, receiver = find_both(db, customer_id, gift.to)
    if giver.points < gift.points:
        raise HTTPException(409, "not enough points")
    giver.points -= gift.points
    receiver.points += gift.points
    db.commit()
    return {"points": giver.points}


def find(db: Session, customer_id: int) -> Customer:
    customer = db.get(Customer, customer_id)
    if customer is None:
        raise HTTPException(404, "no such customer")
    return customer


def find_both(db: Session, one: int, other: int) -> tuple[Customer, Customer]:
    """Two customers, locked in the order of their numbers, so that two gifts cannot wait for each other."""
    locked = select(Customer).where(Customer.id.in_((one, other))).order_by(Customer.id).with_for_update()
    found = {customer.id: customer for customer in db.scalars(locked)}
    if len(found) != 2:
        raise HTTPException(404, "no such customer")
    return found[one], found[other]


def award_points(order_id: int) -> None:
    """One point for every ten paid, and a mail to whoever just reached gold."""
    with SessionLocal.begin() as session:
        order = session.get_one(Order, order_id)
        customer = session.get_one(Customer, order.customer_id, with_for_update=True)
        before = customer.points
        customer.points += order.total // 1000
        reached_gold = before < GOLD <= customer.points
        name, email = customer.name, customer.email
    if reached_gold:
        mails.send(email, "You are a gold customer", f"Congratulations, {name}!")
