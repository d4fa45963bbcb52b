"""Blocks of an AsyncDatabase."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy import exc as sa_exc, insert, orm, select, text, update

from hermetic.toolkit import errors
from hermetic.toolkit.async_database import AsyncDatabase
from runtime.models import Account, Post, User


async def names(db: AsyncDatabase) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(select(User.name).order_by(User.name)))


async def test_a_block_commits_at_its_end(adb: AsyncDatabase) -> None:
    async with adb.transaction() as session:
        ada = User(name="Ada")
        session.add(ada)

    assert await names(adb) == ["Ada"]
    assert (ada.id, ada.name) == (1, "Ada")
    assert adb.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_an_error_rolls_back_and_leaves_the_block(adb: AsyncDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        async with adb.transaction() as session:
            session.add(User(name="Ada"))
            await session.flush()
            _ = 1 / 0

    assert await names(adb) == []


async def test_the_session_is_closed_for_good(adb: AsyncDatabase) -> None:
    async with adb.transaction() as session:
        pass

    with pytest.raises(errors.BlockEnded, match=r"`session.execute\(\)` after the end of its block"):
        await session.execute(select(User))
    with pytest.raises(errors.BlockEnded, match=r"`session.add\(\)`"):
        session.add(User(name="Ada"))


@pytest.mark.parametrize("method", ["commit", "close", "begin", "reset", "invalidate"])
async def test_the_session_does_not_do_what_its_block_does(adb: AsyncDatabase, method: str) -> None:
    with pytest.raises(errors.BlockRules, match=r"leave the block|savepoint"):
        async with adb.transaction() as session:
            await getattr(session, method)()


async def test_rollback_undoes_the_block(adb: AsyncDatabase) -> None:
    async with adb.transaction() as session:
        session.add(User(name="Ada"))
        await session.flush()
        await session.rollback()

    assert await names(adb) == []


async def test_the_block_is_no_session(adb: AsyncDatabase) -> None:
    with pytest.raises(AttributeError, match=r"async with db.transaction\(\) as session"):
        await adb.transaction().get(User, 1)  # type: ignore[attr-defined]


async def test_a_swallowed_failure_is_raised_at_the_end(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.SwallowedFailure) as raised:
        async with afilled.transaction() as session:
            await session.execute(update(Account).values(balance=0))
            with contextlib.suppress(sa_exc.DBAPIError):
                await session.execute(text("SELECT nothing FROM nowhere"))

    assert "test_async_blocks.py" in str(raised.value)
    async with afilled.read() as session:
        assert (await session.get_one(Account, 1)).balance == 100


async def test_a_swallowed_flush_is_raised_at_the_end(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.SwallowedFailure, match="IntegrityError"):
        async with afilled.transaction() as session:
            session.add(User(name="Ada"))
            with contextlib.suppress(sa_exc.IntegrityError):
                await session.flush()


async def test_a_savepoint_undoes_a_failure(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        session.add(User(name="Bob"))
        try:
            async with afilled.savepoint(session):
                session.add(User(name="Ada"))
        except sa_exc.IntegrityError:
            session.add(User(name="Eve"))

    assert await names(afilled) == ["Ada", "Bob", "Eve"]


async def test_a_savepoint_of_sqlalchemy_undoes_a_failure(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        try:
            async with session.begin_nested():
                session.add(User(name="Ada"))
        except sa_exc.IntegrityError:
            session.add(User(name="Eve"))

    assert await names(afilled) == ["Ada", "Eve"]


async def test_a_failure_swallowed_in_a_savepoint_is_raised_at_its_end(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        session.add(User(name="Eve"))
        with pytest.raises(errors.SwallowedFailure):
            async with afilled.savepoint(session):
                await session.execute(update(Account).values(balance=0))
                with contextlib.suppress(sa_exc.DBAPIError):
                    await session.execute(text("SELECT nothing FROM nowhere"))

    assert await names(afilled) == ["Ada", "Eve"]


async def test_a_statement_given_up_for_a_time_out_is_a_failure(adb: AsyncDatabase, async_url: str) -> None:
    if async_url.startswith("sqlite"):
        return  # aiosqlite's statements run on in their thread
    with pytest.raises(errors.SwallowedFailure):
        async with adb.transaction() as session:
            session.add(User(name="Ada"))
            await session.flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.execute(text("SELECT pg_sleep(5)")), 0.05)

    assert await names(adb) == []


async def test_nested_blocks_need_to_say_how_they_belong_together(adb: AsyncDatabase) -> None:
    async with adb.transaction():
        with pytest.raises(errors.NestedBlock, match=r"transaction\(join=session\)") as raised:
            async with adb.transaction():
                pass

    assert str(raised.value).count("test_async_blocks.py") == 2


async def test_a_joined_block_works_in_the_open_transaction(adb: AsyncDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        async with adb.transaction() as session:
            async with adb.transaction(join=session) as joined:
                joined.add(User(name="Ada"))
            _ = 1 / 0

    assert await names(adb) == []


async def test_an_error_out_of_a_joined_block_cannot_be_swallowed(adb: AsyncDatabase) -> None:
    with pytest.raises(errors.SwallowedFailure, match="LookupError"):
        async with adb.transaction() as session:
            with contextlib.suppress(LookupError):
                async with adb.transaction(join=session):
                    session.add(User(name="Ada"))
                    raise LookupError


async def test_a_child_task_does_not_get_the_block(adb: AsyncDatabase) -> None:
    async def child() -> None:
        async with adb.transaction():
            pass

    async with adb.transaction():
        with pytest.raises(errors.InheritedBlock, match="independent=True"):
            await asyncio.gather(child(), child())


async def test_a_child_task_does_not_hear_of_the_commit(adb: AsyncDatabase) -> None:
    async def child() -> None:
        adb.on_commit(print)

    async with adb.transaction():
        with pytest.raises(errors.InheritedBlock):
            await asyncio.create_task(child())


async def test_a_child_task_opens_its_own_block_after_the_end(adb: AsyncDatabase) -> None:
    ended = asyncio.Event()

    async def child() -> list[str]:
        await ended.wait()
        return await names(adb)

    async with adb.transaction() as session:
        task = asyncio.create_task(child())
        session.add(User(name="Ada"))
    ended.set()

    assert await task == ["Ada"]


async def test_a_read_writes_nothing(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.ReadOnly, match="INSERT"):
        async with afilled.read() as session:
            await session.execute(insert(User).values(name="Eve"))
    with pytest.raises(errors.ReadOnly, match="would write User"):
        async with afilled.read() as session:
            session.add(User(name="Eve"))
            await session.flush()

    assert await names(afilled) == ["Ada"]


async def test_a_read_writes_nothing_behind_our_back(afilled: AsyncDatabase, async_url: str) -> None:
    hidden = "PRAGMA user_version = 3" if async_url.startswith("sqlite") else "SELECT nextval('users_id_seq')"
    with pytest.raises(sa_exc.DBAPIError, match=r"read-?only"):
        async with afilled.read() as session:
            await session.execute(text(hidden))


async def test_dirty_state_at_the_end_of_a_read_is_an_error(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.ChangesDropped, match="unwritten changes of User"):
        async with afilled.read() as session:
            (await session.get_one(User, 1)).name = "Eve"


async def test_lock_reads_afresh(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        account = await session.get_one(Account, 1)
        await session.execute(text("UPDATE accounts SET balance = 7 WHERE id = 1"))

        assert await session.lock(Account, 1) is account
        assert account.balance == 7


async def test_callbacks_run_after_the_commit(adb: AsyncDatabase) -> None:
    heard: list[object] = []

    async def hear() -> None:
        heard.append(await names(adb))

    async with adb.transaction() as session:
        session.add(User(name="Ada"))
        session.on_commit(hear)
        adb.on_commit(lambda: heard.append("second"))
        assert heard == []

    assert heard == [["Ada"], "second"]


async def test_an_error_of_a_callback_says_that_the_transaction_is_committed(adb: AsyncDatabase) -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(errors.CallbackFailed, match="is committed, but 1 of its callbacks failed"):
        async with adb.transaction() as session:
            session.add(User(name="Ada"))
            session.on_commit(fail)

    assert await names(adb) == ["Ada"]


async def test_two_tasks_do_not_use_one_session_at_once(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.Overlap, match="still runs in task") as raised:
        async with afilled.transaction() as session:
            await asyncio.gather(session.execute(select(User)), session.execute(select(Account)))

    assert str(raised.value).count("test_async_blocks.py") >= 2
    assert afilled.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_two_tasks_use_one_session_one_after_the_other(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        first = await asyncio.create_task(session.scalar(select(User.name)))
        second = await asyncio.wait_for(session.scalar(select(User.name)), 5)

    assert first == second == "Ada"


async def test_a_shared_session_serves_one_task_after_the_other(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        afilled.allow(session)
        found = await asyncio.gather(*(session.scalar(select(User.name)) for _ in range(5)))

    assert found == ["Ada"] * 5


async def test_a_block_does_not_end_while_a_task_uses_its_session(adb: AsyncDatabase, async_url: str) -> None:
    slow = "SELECT 1" if async_url.startswith("sqlite") else "SELECT pg_sleep(1)"
    with pytest.raises(errors.Overlap, match="the end of the block"):
        async with adb.transaction() as session:
            await session.connection()
            task = asyncio.ensure_future(session.execute(text(slow)))
            await asyncio.sleep(0)
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await task

    assert await names(adb) == []


async def test_detach_takes_along_what_is_named(afilled: AsyncDatabase) -> None:
    async with afilled.read() as session:
        ada = await session.get_one(User, 1)
        await afilled.detach(ada, "posts")

    assert sorted(post.title for post in ada.posts) == ["Notes", "Numbers"]


async def test_what_was_not_loaded_says_what_to_name(afilled: AsyncDatabase) -> None:
    async with afilled.read() as session:
        ada = await session.get_one(User, 1)

    with pytest.raises(errors.NotLoaded, match=r'db.detach\(user, "posts"\)'):
        _ = ada.posts
    with pytest.raises(orm.exc.DetachedInstanceError):
        _ = ada.posts


async def test_released_reads_anew_what_is_referenced(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session:
        account = await session.get_one(Account, 1)
        ada = await session.get_one(User, 1, options=[orm.selectinload(User.posts)])
        async with afilled.released(session):
            assert afilled.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
            async with afilled.transaction(independent=True) as other:
                (await other.lock(Account, 1)).balance = 1
                other.add(Post(title="News", author_id=1))

        assert account.balance == 1
        assert len(ada.posts) == 3
        account.balance = 2
    async with afilled.read() as session:
        assert (await session.get_one(Account, 1)).balance == 2


async def test_nothing_is_done_while_the_connection_is_released(afilled: AsyncDatabase) -> None:
    async with afilled.transaction() as session, afilled.released(session):
        with pytest.raises(errors.Released, match="released at"):
            await session.execute(select(User))


async def test_release_after_a_write_is_refused(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.CannotRelease, match="split the operation"):
        async with afilled.transaction() as session:
            session.add(User(name="Eve"))
            async with afilled.released(session):
                pass


async def test_a_second_event_loop_is_refused(adb: AsyncDatabase) -> None:
    await names(adb)
    with pytest.raises(errors.OtherLoop, match="first used at"):
        await asyncio.to_thread(asyncio.run, names(adb))


async def test_a_failure_after_dispose_is_a_failure(async_url: str) -> None:
    db = AsyncDatabase(async_url)
    with pytest.raises(errors.SwallowedFailure):
        async with db.transaction() as session:
            session.add(User(name="Ada"))
            await session.flush()
            await db.dispose()
            with contextlib.suppress(sa_exc.DBAPIError):
                await session.execute(text("SELECT nothing FROM nowhere"))


async def test_a_connection_that_could_not_be_had_is_a_failure(async_url: str) -> None:
    async with AsyncDatabase(async_url, pool_size=1, max_overflow=0, pool_timeout=0.05) as db:
        async with db.read(independent=True) as holder:
            await holder.execute(select(User))
            with pytest.raises(errors.SwallowedFailure, match="TimeoutError"):
                async with db.transaction(independent=True) as session:
                    with contextlib.suppress(sa_exc.TimeoutError):
                        await session.execute(select(User))
