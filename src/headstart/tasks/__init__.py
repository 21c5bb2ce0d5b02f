"""One file, one task. A new task is a new file and a line in this table."""

from __future__ import annotations

from headstart.errors import HeadstartError, did_you_mean
from headstart.tasks.byol import Byol
from headstart.tasks.classify import Classify
from headstart.tasks.emp_ssl import EmpSsl
from headstart.tasks.fastsiam import FastSiam
from headstart.tasks.segment import Segment
from headstart.tasks.task import EMPTY_IMAGES, Batch, ModelOutput, Task
from headstart.tasks.vicreg import VicReg

TASKS: dict[str, type[Task]] = {
    "byol": Byol,
    "classify": Classify,
    "emp_ssl": EmpSsl,
    "fastsiam": FastSiam,
    "segment": Segment,
    "vicreg": VicReg,
}


def task_named(name: str) -> type[Task]:
    """The task class of a recipe's `task`. Raises HeadstartError for an unknown name."""
    if name not in TASKS:
        raise HeadstartError(
            f"task: expected {', '.join(TASKS)}, found {name}; {did_you_mean(name, TASKS)}",
            "headstart recipe show quick",
        )
    return TASKS[name]


__all__ = ["EMPTY_IMAGES", "TASKS", "Batch", "ModelOutput", "Task", "task_named"]
