"""Services that commit one operation in parts, and some that have a reason to."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

from celery import Celery
from fastapi import BackgroundTasks, Depends, FastAPI
from flask import Flask
from sqlalchemy import Engine, ForeignKey, event, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapped, Session, mapped_column

from runtime.models import Account, Base, Post, User


class Job(Base):
    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="queued")
    note: Mapped[str | None]


class Result(Base):
    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey(Job.id))


class Audit(Base):
    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))


def transfer(engine: Engine, source: int, target: int) -> None:
    with Session(engine) as session:
        giver, taker = session.get_one(Account, source), session.get_one(Account, target)
        giver.balance -= 10  # mark: wrote first
        session.commit()  # mark: first
        taker.balance += 10  # mark: wrote second
        session.commit()  # mark: second


def publish(engine: Engine) -> None:
    with Session(engine) as session:
        user = User(name="Ada")
        session.add(user)  # mark: wrote first
        session.commit()  # mark: first
        session.add(Post(title="On engines", author_id=user.id))  # mark: wrote second
        session.commit()  # mark: second


def publish_in_two_sessions(engine: Engine) -> None:
    with Session(engine) as session, session.begin():  # mark: first
        user = User(name="Ada")
        session.add(user)  # mark: wrote first
        session.flush()
        key = user.id
    with Session(engine) as session, session.begin():  # mark: second
        session.add(Post(title="On engines", author_id=key))  # mark: wrote second


def save(session: Session, row: object) -> None:
    session.add(row)
    session.commit()


def publish_by_helper(engine: Engine) -> None:
    with Session(engine) as session:
        user = User(name="Ada")
        save(session, user)  # mark: first
        save(session, Post(title="On engines", author_id=user.id))  # mark: second


bound: list[Engine] = []


def make_user() -> None:
    with Session(bound[0]) as session, session.begin():
        session.add(User(id=7, name="Ada"))


def make_post() -> None:
    with Session(bound[0]) as session, session.begin():
        session.add(Post(title="On engines", author_id=session.get_one(User, 7).id))


def main(engine: Engine) -> None:
    bound[:] = [engine]
    make_user()
    make_post()


def make_post_for(key: int) -> None:
    with Session(bound[0]) as session, session.begin():  # mark: second
        session.add(Post(title="On engines", author_id=key))  # mark: wrote second


def main_that_passes_on(engine: Engine) -> None:
    bound[:] = [engine]
    make_user()
    make_post_for(7)


class Service:
    def __init__(self, engine: Engine) -> None:
        self.session = Session(engine)

    def make_user(self) -> None:
        self.session.add(User(id=7, name="Ada"))
        self.session.commit()

    def make_post(self) -> None:
        self.session.add(Post(title="On engines", author_id=7))
        self.session.commit()

    def make_both(self) -> None:
        self.make_user()
        self.make_post()


def by_methods(engine: Engine) -> None:
    service = Service(engine)
    service.make_both()
    service.session.close()


def complete(engine: Engine) -> None:
    with Session(engine) as session:
        job = Job()
        session.add(job)  # mark: wrote first
        session.commit()  # mark: first
        job.note = "about the weather"  # mark: wrote second
        session.commit()  # mark: second


def transfer_by_statements(engine: Engine, source: int, target: int) -> None:
    with Session(engine) as session:
        withdraw = update(Account).where(Account.id == source).values(balance=Account.balance - 10)
        session.execute(withdraw)  # mark: wrote first
        session.commit()  # mark: first
        deposit = text("UPDATE accounts SET balance = balance + 10 WHERE id = :id")
        session.execute(deposit, {"id": target})  # mark: wrote second
        session.commit()  # mark: second


def publish_by_statements(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(insert(User).values(id=7, name="Ada"))  # mark: wrote first
        session.commit()  # mark: first
        session.execute(insert(Post).values(title="On engines", author_id=7))  # mark: wrote second
        session.commit()  # mark: second


def in_one(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        user = User(name="Ada")
        session.add(user)
        session.flush()
        session.add(Post(title="On engines", author_id=user.id))


def with_savepoint(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        with session.begin_nested():
            user = User(name="Ada")
            session.add(user)
        session.add(Post(title="On engines", author_id=user.id))


def batch(engine: Engine) -> None:
    with Session(engine) as session:
        for number in range(3):
            session.add(User(name=f"user {number}"))
            session.commit()


def batch_of_two_kinds(engine: Engine) -> None:
    with Session(engine) as session:
        for account in session.scalars(select(Account)).all():
            if account.balance:
                account.balance = 0
                session.commit()
            else:
                account.balance = 1
                session.commit()


def batch_of_split_items(engine: Engine) -> None:
    with Session(engine) as session:
        for number in range(2):
            user = User(name=f"user {number}")
            session.add(user)
            session.commit()
            session.add(Post(title="On engines", author_id=user.id))
            session.commit()  # mark: second


def read_afterwards(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        session.scalars(select(User)).all()
        session.commit()


def unrelated(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        session.add(Account())
        session.commit()


def one_table(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        session.add(User(name="Grace"))
        session.commit()


def progress(engine: Engine) -> None:
    with Session(engine) as session:
        job = Job()
        session.add(job)
        session.commit()
        job.state = "running"
        session.commit()
        session.add(Result(job_id=job.id))
        job.state, job.note = "done", "in time"
        session.commit()


def audited(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        user = User(name="Ada")
        post = Post(title="On engines", author=user)
        session.add(post)
        session.flush()
        key = post.id
    with Session(engine) as session, session.begin():
        session.add(Audit(post_id=key))


def by_a_listener(engine: Engine) -> None:
    def publish(session: Session) -> None:
        with Session(engine) as other:
            other.add(Post(title="On engines", author_id=key))
            other.commit()

    with Session(engine) as session:
        user = User(name="Ada")
        session.add(user)
        session.flush()
        key = user.id
        event.listen(session, "after_commit", publish)
        session.commit()


def after_a_wait(engine: Engine, wait: Callable[[], None]) -> None:
    with Session(engine) as session:
        user = User(name="Ada")
        session.add(user)
        session.commit()
        key = user.id
        session.commit()
        wait()
        session.add(Post(title="On engines", author_id=key))
        session.commit()


async def async_publish(engine: AsyncEngine) -> None:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        user = User(name="Ada")
        session.add(user)  # mark: wrote first
        await session.commit()  # mark: first
        session.add(Post(title="On engines", author_id=user.id))  # mark: wrote second
        await session.commit()  # mark: second


async def async_publish_in_two_sessions(engine: AsyncEngine) -> None:
    make = async_sessionmaker(engine, expire_on_commit=False)
    async with make.begin() as session:  # mark: first
        user = User(name="Ada")
        session.add(user)  # mark: wrote first
    async with make.begin() as session:  # mark: second
        session.add(Post(title="On engines", author_id=user.id))  # mark: wrote second


async def async_make_user() -> None:
    async with AsyncSession(async_bound[0]) as session, session.begin():
        session.add(User(id=7, name="Ada"))


async def async_make_post() -> None:
    async with AsyncSession(async_bound[0]) as session, session.begin():
        session.add(Post(title="On engines", author_id=7))


async_bound: list[AsyncEngine] = []


async def async_main(engine: AsyncEngine) -> None:
    async_bound[:] = [engine]
    await async_make_user()
    await async_make_post()


async def async_in_one(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        user = User(name="Ada")
        session.add(user)
        await session.flush()
        session.add(Post(title="On engines", author_id=user.id))


def web(engine: Engine) -> FastAPI:
    def get_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session
            session.commit()

    def get_user(session: Annotated[Session, Depends(get_session)]) -> User:
        user = User(name="Ada")
        session.add(user)
        session.commit()
        return user

    app = FastAPI()

    @app.get("/split")
    def split(session: Annotated[Session, Depends(get_session)]) -> None:
        user = User(name="Ada")
        session.add(user)
        session.commit()  # mark: first
        session.add(Post(title="On engines", author_id=user.id))  # mark: wrote second

    @app.get("/apart")
    def apart(user: Annotated[User, Depends(get_user)], session: Annotated[Session, Depends(get_session)]) -> None:
        session.add(Post(title="On engines", author_id=user.id))

    @app.get("/background")
    def background(tasks: BackgroundTasks, session: Annotated[Session, Depends(get_session)]) -> None:
        user = User(name="Ada")
        session.add(user)
        session.commit()
        key = user.id

        def announce() -> None:
            with Session(engine) as own, own.begin():
                own.add(Post(title="Welcome", author_id=key))

        tasks.add_task(announce)

    return app


def async_web(engine: AsyncEngine) -> FastAPI:
    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            yield session

    app = FastAPI()

    @app.get("/split")
    async def split(session: Annotated[AsyncSession, Depends(get_session)]) -> None:
        user = User(name="Ada")
        session.add(user)  # mark: wrote first
        await session.commit()  # mark: first
        session.add(Post(title="On engines", author_id=user.id))  # mark: wrote second
        await session.commit()  # mark: second

    return app


def flask(engine: Engine) -> Flask:
    app = Flask("shop")

    @app.get("/split")
    def split() -> str:
        publish(engine)
        return ""

    return app


def tasks(engine: Engine) -> Celery:
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True

    @app.task(name="publish", shared=False)  # type: ignore[untyped-decorator]
    def task() -> Any:
        publish(engine)

    return app
