"""Findings that somebody has silenced: by markers, settings, comments, a baseline, or because a test expects them."""

from __future__ import annotations

import pytest

from runtime.integrations.suite import APP, Suite

# Two mistakes that end in errors, and one that does not.
SHOP = """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)

    engine = create_engine("sqlite:///shop.db")
    Base.metadata.create_all(engine)
    kept = []

    def register():
        with Session(engine) as session:
            user = User()
            session.add(user)
            session.commit()
            return user

    def number(user):
        return user.id

    def add_twice_and_go_on():
        with Session(engine) as session:
            for _ in range(2):
                session.add(User(id=1))
                session.add(User(id=1))
                try:
                    session.commit()
                except IntegrityError:
                    pass

    def leak():
        session = Session(engine)
        kept.append(session)
        session.connection()
"""

LEAKS = """
    import app

    def test_leaks():
        app.leak()
"""


@pytest.mark.parametrize(
    "source",
    [
        """
        import app, pytest

        @pytest.mark.hermetic(ignore=["SES001"], reason="on purpose")
        def test_leaks():
            app.leak()
        """,
        """
        import app, pytest

        @pytest.mark.hermetic(ignore="SES00")
        class TestLeaks:
            def test_leaks(self):
                app.leak()
        """,
        """
        import app, pytest

        pytestmark = pytest.mark.hermetic(ignore=["SES006", "SES001"])

        @pytest.mark.hermetic(ignore=["SES004"])
        def test_leaks():
            app.leak()
        """,
    ],
    ids=["function", "class", "module"],
)
def test_marked(suite: Suite, source: str) -> None:
    done = suite.run(test_app=source)

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "Silenced: 1 by markers" in done.summary


def test_a_marker_holds_for_its_test_and_its_rule_alone(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest

            @pytest.mark.hermetic(ignore=["SES006"])
            def test_marked_for_another_rule():
                app.leak()

            @pytest.mark.hermetic(ignore=["SES001"])
            def test_marked():
                app.leak()

            def test_not_marked():
                app.leak()
        """
    )

    assert done.outcomes == {"passed": 3, "errors": 2}
    assert "ERROR at teardown of test_marked_for_another_rule" in done.out
    assert "ERROR at teardown of test_not_marked" in done.out


def test_a_marker_that_cannot_be_meant_fails_its_test(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest

            @pytest.mark.hermetic(ignore="SES009")
            def test_marked():
                app.careful()

            def test_not_marked():
                app.careful()
        """
    )

    assert done.outcomes == {"errors": 1, "passed": 1}
    assert "@pytest.mark.hermetic: unknown rule `SES009`; did you mean SES00" in done.out


def test_ignored_by_the_settings(suite: Suite) -> None:
    suite.settings("hermetic_ignore =", "    SES001 shop/old/  nobody dares to touch it", "    SES006 **/*.py")
    suite.write(shop__old__stock=APP, shop__new=APP)

    done = suite.run(
        "--hermetic-report=report.json",
        test_app="""
            import shop.new, shop.old.stock

            def test_leaks():
                shop.old.stock.leak()

            def test_leaks_elsewhere():
                shop.new.leak()
        """,
    )

    assert done.outcomes == {"passed": 2, "errors": 1}
    assert [path for _, path, *_ in suite.places()] == ["shop/new.py"]
    assert "Silenced: 1 by hermetic_ignore" in done.summary


@pytest.mark.parametrize(
    ("line", "errors"),
    [
        ("    session = Session(engine)  # hermetic: ignore[SES001] kept for ever", 0),
        ("    # hermetic: ignore[SES001, SES002] kept for ever\n    session = Session(engine)", 0),
        ("    session = Session(engine)  # hermetic: ignore[SES002] another rule", 1),
    ],
    ids=["on the line", "above it", "another rule"],
)
def test_a_comment(suite: Suite, line: str, errors: int) -> None:
    suite.write(app=APP.replace("    session = Session(engine)", line, 1))

    done = suite.run(test_app=LEAKS)

    assert done.outcomes.get("errors", 0) == errors


def test_a_comment_is_found_from_any_directory(suite: Suite) -> None:
    suite.write(app=APP.replace("Session(engine)", "Session(engine)  # hermetic: ignore[SES001] kept", 1))
    (suite.pytester.path / "elsewhere").mkdir()

    done = suite.run(test_app=LEAKS + "        import os; os.chdir('elsewhere')\n")

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "Silenced: 1 by comments" in done.summary


def test_a_baseline_is_made_and_then_holds_for_what_it_lists(suite: Suite) -> None:
    made = suite.run("--hermetic-baseline=known.json", "--hermetic-update-baseline", test_app=LEAKS)
    suite.write(app=f"# a line more\n{APP}")
    used = suite.run("--hermetic-baseline=known.json")
    more = suite.run(
        "--hermetic-baseline=known.json",
        test_more="""
            from app import engine, kept, text, Session

            def test_leaks_too():
                session = Session(engine)
                kept.append(session)
                session.scalar(text("SELECT 1"))
        """,
    )

    assert (made.code, made.outcomes) == (0, {"passed": 1})
    assert "known.json has 1 finding now" in made.summary
    assert (used.code, used.outcomes) == (0, {"passed": 1})
    assert "Silenced: 1 by the baseline" in used.summary
    assert more.outcomes == {"passed": 2, "errors": 1}


def test_a_baseline_that_is_missing_is_wrong_usage(suite: Suite) -> None:
    done = suite.run("--hermetic-baseline=known.json", test_app=LEAKS)

    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "known.json: No such file or directory" in done.err


def test_a_read_in_a_test_that_catches_the_error_is_none(suite: Suite) -> None:
    suite.write(shop=SHOP)

    done = suite.run(
        "--hermetic-report=report.json",
        test_shop="""
            from shop import number, register

            def test_catches():
                try:
                    register().id
                except Exception:
                    pass

            def test_fails():
                try:
                    register().id
                except Exception as error:
                    raise ValueError("something else") from error

            def test_catches_what_the_application_reads():
                try:
                    number(register())
                except Exception:
                    pass
        """,
    )

    assert done.outcomes == {"passed": 1, "failed": 2}
    assert [(rule, path, tests) for rule, path, _, tests in suite.places()] == [
        ("SES005", "shop.py", ["test_shop.py::test_catches_what_the_application_reads"]),
        ("SES005", "test_shop.py", ["test_shop.py::test_fails"]),
    ]


def test_an_error_that_the_test_expects_by_name_is_none(suite: Suite) -> None:
    suite.write(shop=SHOP)

    done = suite.run(
        test_shop="""
            import threading, unittest
            import pytest
            from concurrent.futures import ThreadPoolExecutor
            from shop import add_twice_and_go_on, number, register
            from sqlalchemy.exc import InvalidRequestError, PendingRollbackError as Pending
            from sqlalchemy.orm.exc import DetachedInstanceError

            def test_read():
                with pytest.raises(DetachedInstanceError):
                    number(register())

            def test_as_a_function():
                pytest.raises((KeyError, DetachedInstanceError), number, register())

            def test_after_a_failure():
                with pytest.raises(Pending):
                    add_twice_and_go_on()

            def test_by_the_class_above():
                with pytest.raises(InvalidRequestError):
                    add_twice_and_go_on()

            def test_in_a_thread():
                with ThreadPoolExecutor() as pool, pytest.raises(Pending):
                    pool.submit(add_twice_and_go_on).result()

            def test_in_a_group():
                with pytest.RaisesGroup(pytest.RaisesExc(Pending)):
                    try:
                        add_twice_and_go_on()
                    except Pending as error:
                        raise ExceptionGroup("failed", [error])

            class Test(unittest.TestCase):
                def test_of_unittest(self):
                    with self.assertRaises(Pending):
                        add_twice_and_go_on()
        """
    )

    assert (done.code, done.outcomes) == (0, {"passed": 7})


def test_what_no_test_expects_by_name_is_reported(suite: Suite) -> None:
    suite.write(shop=SHOP)

    done = suite.run(
        "--hermetic-report=report.json",
        test_shop="""
            import pytest
            from shop import add_twice_and_go_on, leak, number, register
            from sqlalchemy.exc import SQLAlchemyError
            from sqlalchemy.orm.exc import DetachedInstanceError

            def test_any_exception():
                with pytest.raises(Exception):
                    add_twice_and_go_on()

            def test_another_error():
                with pytest.raises(ValueError):
                    try:
                        add_twice_and_go_on()
                    except SQLAlchemyError as error:
                        raise ValueError("failed") from error

            def test_something_else_before_the_error():
                with pytest.raises(DetachedInstanceError):
                    leak()
                    number(register())

            def test_after_an_error_that_was_expected():
                with pytest.raises(DetachedInstanceError):
                    number(register())
                try:
                    add_twice_and_go_on()
                except SQLAlchemyError:
                    pass
        """,
    )

    assert done.outcomes == {"passed": 1, "failed": 3, "errors": 1}
    assert [(rule, tests) for rule, _, _, tests in suite.places()] == [
        (
            "SES003",
            [
                f"test_shop.py::test_{name}"
                for name in ("after_an_error_that_was_expected", "another_error", "any_exception")
            ],
        ),
        ("SES001", ["test_shop.py::test_something_else_before_the_error"]),
    ]


@pytest.mark.parametrize("options", [(), ("--hermetic=off",)], ids=["watched", "off"])
def test_blocks_that_expect_an_error_work_as_ever(suite: Suite, options: tuple[str, ...]) -> None:
    done = suite.run(
        *options,
        test_raises="""
            import pytest

            def test_nothing_raised():
                with pytest.raises(KeyError):
                    pass

            def test_another_error():
                with pytest.raises(KeyError):
                    {}.missing

            def test_no_match():
                with pytest.raises(KeyError, match="b"):
                    {}["a"]

            def test_expected():
                with pytest.raises(KeyError, match="a") as raised:
                    {}["a"]
                assert raised.value.args == ("a",)
        """,
    )

    assert done.outcomes == {"passed": 1, "failed": 3}
    assert "DID NOT RAISE KeyError" in done.out
    assert "pytest_expected.py" not in done.out
