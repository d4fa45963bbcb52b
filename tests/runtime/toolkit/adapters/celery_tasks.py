"""What the Celery worker of the tests runs."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from redis import Redis
from sqlalchemy import func, select

from hermetic.toolkit.adapters.celery import task
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import CommitUnknown
from hermetic.toolkit.session import Session
from runtime.models import Account

socket = os.environ["REDIS_URL"].removeprefix("unix://")
app = Celery(
    "tests", broker=f"redis+socket://{socket}?virtual_host=1", backend=f"redis+socket://{socket}?virtual_host=2"
)
app.conf.broker_connection_retry_on_startup = True
db = Database(os.environ["DATABASE_URL"], pool_size=2)
attempts: Any = Redis(unix_socket_path=socket)

with db.read() as session:  # in the parent of all workers, whose connection they must not use
    session.scalar(select(1))


@task(app, db)
def create(session: Session, balance: int) -> int:
    account = Account(balance=balance)
    session.add(account)
    session.flush()
    session.on_commit(lambda: look.delay(account.id))
    return account.id


@task(app, db)
def look(session: Session, account_id: int) -> None:
    attempts.rpush("seen", session.get_one(Account, account_id).balance)


@task(app, db, autoretry_for=(ValueError,), max_retries=3, default_retry_delay=0)
def fails_twice(session: Session) -> int:
    session.add(Account())
    session.flush()
    if attempts.incr("fails_twice") < 3:
        raise ValueError("not yet")
    return session.scalars(select(func.count(Account.id))).one()


@task(app, db, bind=True, max_retries=3)
def retries_twice(self: Any, session: Session) -> int:
    session.add(Account())
    session.flush()
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return session.scalars(select(func.count(Account.id))).one()


@task(app, db, autoretry_for=(Exception,), max_retries=3, default_retry_delay=0)
def may_be_done(session: Session) -> None:
    attempts.incr("may_be_done")
    raise CommitUnknown("COMMIT was sent and its answer never came")
