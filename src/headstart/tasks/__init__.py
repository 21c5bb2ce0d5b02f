"""One file, one task. A new task is a new file and a line in this table."""

from __future__ import annotations

from headstart.errors import HeadstartError, nearest
from headstart.tasks.byol import Byol
from headstart.tasks.classify import Classify
from headstart.tasks.segment import Segment
from headstart.tasks.task import NO_PIXELS, Batch, Seen, Task

TASKS: dict[str, type[Task]] = {"byol": Byol, "classify": Classify, "segment": Segment}


def task_named(name: str) -> type[Task]:
    """The task that a recipe asks for. Raises HeadstartError for an unknown one."""
    if name not in TASKS:
        raise HeadstartError(
            f"task: expected {', '.join(TASKS)}, found {name}; nearest: {nearest(name, TASKS)}",
            "headstart recipe show quick",
        )
    return TASKS[name]


__all__ = ["NO_PIXELS", "TASKS", "Batch", "Seen", "Task", "task_named"]
