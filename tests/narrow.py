"""A value whose type is wider than what a test expects of it: checked while the test runs, and known to mypy."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def narrow(value: object, kind: type[T]) -> T:
    """The value, which has to be of this kind."""
    assert isinstance(value, kind), f"expected {kind.__name__}, found {type(value).__name__}"
    return value


def given(value: T | None) -> T:
    """The value, which has to be there."""
    assert value is not None
    return value
