"""Overrides of a recipe's fields, by dotted name: ``train.epochs=5``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from headstart.errors import HeadstartError


@runtime_checkable
class SupportsItem(Protocol):
    """A scalar of NumPy or PyTorch, which is one of Python's by ``item()``."""

    def item(self) -> Any: ...


def read_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Parse ``a.b=value`` from a command line; a value is TOML, or plain text where it is not valid TOML."""
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise HeadstartError(f"{text}: expected field=value, found no '='", "headstart fit --help")
        try:
            overrides[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            overrides[name.strip()] = value
    return overrides


def set_field(fields: dict[str, Any], name: str, value: Any) -> None:
    """Set the field ``name`` of plain ``fields``, in place. Raises HeadstartError where a table of it is a value."""
    *parts, last = str(name).split(".")
    for part in parts:
        inner = fields.setdefault(part, {})
        if not isinstance(inner, dict):
            raise HeadstartError(f"{name}: {part} is a value, not a table", "headstart recipe show quick")
        fields = inner
    fields[last] = value.item() if isinstance(value, SupportsItem) else value
