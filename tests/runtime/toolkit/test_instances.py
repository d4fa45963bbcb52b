"""Instances after the end of their block: readable as far as loaded, and no way to write what may be old."""

from __future__ import annotations

import pickle

import pytest
from sqlalchemy import Engine, create_engine, orm

from hermetic.toolkit import errors
from hermetic.toolkit.database import Database
from runtime.models import Account, Post, User


@pytest.fixture
def ada(filled: Database) -> User:
    """An instance whose block has ended."""
    with filled.read() as session:
        return session.get_one(User, 1)


def test_what_was_not_loaded_says_what_to_name(ada: User) -> None:
    with pytest.raises(errors.NotLoaded, match=r'db.detach\(user, "posts"\)') as raised:
        _ = ada.posts

    assert isinstance(raised.value, orm.exc.DetachedInstanceError)
    assert str(raised.value).count("test_instances.py") == 3


def test_detach_takes_along_what_is_named(filled: Database) -> None:
    with filled.read() as session:
        ada = session.get_one(User, 1)
        filled.detach(ada, "posts.author")

    assert sorted(post.title for post in ada.posts) == ["Notes", "Numbers"]
    assert ada.posts[0].author is ada


def test_a_detached_instance_says_what_was_not_named_at_once(filled: Database) -> None:
    with filled.read() as session:
        ada = session.get_one(User, 1)
        filled.detach(ada)
        with pytest.raises(errors.NotLoaded, match=r"`User.posts` was not loaded"):
            _ = ada.posts


def test_detach_writes_what_is_pending(filled: Database) -> None:
    with filled.transaction() as session:
        ada = session.get_one(User, 1)
        ada.name = "Eve"
        filled.detach(ada)
    with filled.read() as session:
        assert session.get_one(User, 1).name == "Eve"


def test_detach_of_an_unknown_name(filled: Database) -> None:
    with pytest.raises(AttributeError, match="no mapped attribute 'pots'"), filled.read() as session:
        filled.detach(session.get_one(User, 1), "pots")


def test_detach_outside_of_a_block(filled: Database, ada: User) -> None:
    with pytest.raises(errors.NoBlock):
        filled.detach(ada)


def test_an_attribute_of_an_ended_instance_is_not_written(ada: User) -> None:
    with pytest.raises(errors.InstanceEnded, match=r"session.lock\(User, id\)"):
        ada.name = "Eve"

    assert ada.name == "Ada"


def test_a_relationship_of_an_ended_instance_is_not_written(filled: Database) -> None:
    with filled.read() as session:
        ada = session.get_one(User, 1)
        filled.detach(ada, "posts")

    with pytest.raises(errors.InstanceEnded, match=r"`User.posts` is written"):
        ada.posts.append(Post(title="News"))
    with pytest.raises(errors.InstanceEnded, match=r"`User.posts` is written"):
        Post(title="News", author=ada)


def test_an_ended_instance_is_not_added_to_another_block(filled: Database, ada: User) -> None:
    with pytest.raises(errors.InstanceEnded, match=r"session.get\(User, id\)"), filled.transaction() as session:
        session.add(ada)


def test_an_ended_instance_is_not_merged_into_another_block(filled: Database, ada: User) -> None:
    with pytest.raises(errors.InstanceEnded), filled.transaction() as session:
        session.merge(ada)


def test_an_instance_of_the_callers_is_merged(filled: Database) -> None:
    with filled.transaction() as session:
        session.merge(User(id=1, name="Eve"))
    with filled.read() as session:
        assert session.get_one(User, 1).name == "Eve"


def test_an_instance_that_failed_to_be_written_can_be_written_later(db: Database) -> None:
    account = Account(balance=1)
    with pytest.raises(ZeroDivisionError), db.transaction() as session:
        session.add(account)
        _ = 1 / 0
    with db.transaction() as session:
        session.add(account)
    with db.read() as session:
        assert session.get_one(Account, 1).balance == 1


def test_a_session_of_sqlalchemys_own_takes_an_instance_over(ada: User, sync_url: str) -> None:
    engine = create_engine(sync_url)
    with orm.Session(engine) as session:
        session.add(ada)
        assert len(ada.posts) == 2
        ada.name = "Eve"
        session.commit()
        assert ada.name == "Eve"
    ada.name = "nobody's"
    engine.dispose()


def test_an_ended_instance_is_pickled(ada: User) -> None:
    copy = pickle.loads(pickle.dumps(ada))

    assert copy.name == "Ada"
    with pytest.raises(errors.NotLoaded):
        _ = copy.posts


def test_instances_of_other_sessions_are_left_alone(filled: Database, sync_engine: Engine) -> None:
    with orm.Session(sync_engine) as session:
        account = Account(balance=1)
        session.add(account)
    account.balance = 2

    assert account.balance == 2
