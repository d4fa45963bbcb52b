"""Which test or fixture is at work, so that whatever happens is charged to it.

A scope is the node id of a test, `fixture:SCOPE:NAME:NODE` while a fixture is set up or torn down, or "" outside of
both. What a fixture of scope "function" does is its test's; a wider one answers for itself.
"""

from __future__ import annotations

from typing import Any

FIXTURE = "fixture:"
OF_ONE_TEST = "fixture:function:"


def of_fixture(definition: Any, request: Any) -> str:
    """The scope of a fixture (`FixtureDef`) for the node that it is set up for."""
    return f"{FIXTURE}{definition.scope}:{definition.argname}:{request.node.nodeid}"


def test_of(scope: str) -> str:
    """The node id of the test that answers for a scope; "" if none does."""
    if scope.startswith(OF_ONE_TEST):
        return scope.split(":", 3)[3]
    return "" if scope.startswith(FIXTURE) else scope


def described(scope: str) -> str:
    """A scope for people."""
    if not scope:
        return "outside of any test"
    if not scope.startswith(FIXTURE) or scope.startswith(OF_ONE_TEST):
        return test_of(scope)
    _, width, name, node = scope.split(":", 3)
    return f"fixture {name} ({width}{' ' if node else ''}{node})"


class Scopes:
    """The scopes that are entered and not left."""

    def __init__(self) -> None:
        self.test = ""  # the test that runs: nothing of it is reported to the end yet
        self.of_test: list[str] = []  # the scopes of its own fixtures
        self._entered: list[str] = []

    @property
    def present(self) -> str:
        return self._entered[-1] if self._entered else self.test

    def begin(self, test: str) -> None:
        self.test = test
        self.of_test.clear()
        self._entered.clear()

    def enter(self, scope: str) -> None:
        self._entered.append(scope)
        if scope.startswith(OF_ONE_TEST) and scope not in self.of_test:
            self.of_test.append(scope)

    def leave(self, scope: str) -> None:
        """Leave a scope, and those in it that an exception has kept from being left."""
        if scope in self._entered:
            while self._entered.pop() != scope:
                pass
