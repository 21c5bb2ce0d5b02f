"""What to type after a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.errors import quoted

if TYPE_CHECKING:
    from headstart.data.checks.check import CheckResult


def next_steps(result: CheckResult, root: str) -> list[tuple[str, str]]:
    """(what for, command), the first one first; ``root`` is the folder as the commands name it."""
    folder = quoted(root)
    if not result.usable:
        return [("fix the errors, then", f"headstart check {folder}")]
    if result.target == "label":
        return [("", f"headstart study {folder}"), ("or for one model", f"headstart fit quick {folder}")]
    if result.target == "mask":
        return [("", f"headstart fit segment-quick {folder}")]
    return [("to learn without labels", f"headstart fit byol-quick {folder}")]
