"""One file, one task. A new task is a new file and a line in this table."""

from __future__ import annotations

from headstart.tasks.classify import Classify
from headstart.tasks.contract import Batch, Task

TASKS: dict[str, type[Task]] = {"classify": Classify}

__all__ = ["TASKS", "Batch", "Task"]
