"""What the RQ worker of the tests runs."""

from __future__ import annotations

import os
from typing import Any

from redis import Redis
from rq import Queue
from sqlalchemy import func, select

from hermetic.toolkit.adapters.rq import job
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import CommitUnknown
from hermetic.toolkit.session import Session
from runtime.models import Account

db = Database(os.environ["DATABASE_URL"], pool_size=2)
connection: Any = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue(connection=connection)

with db.read() as session:  # in the parent of all work horses, whose connection they must not use
    session.scalar(select(1))


@job(db)
def create(session: Session, balance: int) -> int:
    account = Account(balance=balance)
    session.add(account)
    session.flush()
    session.on_commit(lambda: queue.enqueue(look, account.id))
    return account.id


@job(db)
def look(session: Session, account_id: int) -> None:
    connection.rpush("seen", session.get_one(Account, account_id).balance)


@job(db)
def fails_twice(session: Session) -> int:
    session.add(Account())
    session.flush()
    if connection.incr("fails_twice") < 3:
        raise ValueError("not yet")
    return session.scalars(select(func.count(Account.id))).one()


@job(db)
def may_be_done(session: Session) -> None:
    connection.incr("may_be_done")
    raise CommitUnknown("COMMIT was sent and its answer never came")
