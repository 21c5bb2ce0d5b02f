"""Versions, machine, and the cache folder. No torch: versions are read from the installed packages."""

from __future__ import annotations

import os
import platform
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError

PACKAGES = ("headstart", "torch", "torchvision", "timm", "lightning-fabric", "numpy", "pillow")


def environment() -> dict[str, Any]:
    """Versions of packages and Python, platform, CPU and start time; ``fit`` adds device and weight provenance."""
    return {
        **{package: _version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cache_folder() -> Path:
    """``$HEADSTART_CACHE``, or ``~/.cache/headstart``; it may not exist yet."""
    return Path(os.environ.get("HEADSTART_CACHE") or Path.home() / ".cache" / "headstart")


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping; None if the system does not say.

    The least of what the machine has left, what its control groups (containers, SLURM) allow, and `ulimit -v`.
    """
    return min(
        (left for left in (_left_on_machine(), *_left_in_groups(), _left_of_ulimit()) if left is not None), default=None
    )


def _left_on_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What each control group (of version 2) that holds this process has left; pages of files it gives back."""
    try:
        path = next(
            line[3:].strip("/\n") for line in own.read_text(encoding="utf-8").splitlines() if line.startswith("0::")
        )
    except (OSError, StopIteration):
        path = ""
    found = []
    for folder in (root / path, *(root / path).parents):
        with suppress(OSError, ValueError, StopIteration):
            limit = int((folder / "memory.max").read_text(encoding="ascii"))  # "max": none
            used = int((folder / "memory.current").read_text(encoding="ascii"))
            statistics = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            files = sum(
                int(line.split()[1]) for line in statistics if line.startswith(("active_file ", "inactive_file "))
            )
            found.append(max(0, limit - used + files))
        if folder == root:
            break
    return found


def _left_of_ulimit() -> int | None:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return None if limit == resource.RLIM_INFINITY else max(0, limit - pages * resource.getpagesize())
    except (ImportError, OSError):  # Windows, macOS
        return None


CACHE_LIMIT = "20%"
"""Of the disk, where ``$HEADSTART_CACHE_SIZE`` says nothing."""


def cache_limit() -> int:
    """Bytes that the cache may hold: ``$HEADSTART_CACHE_SIZE``, such as ``50GB`` or ``10%`` of its disk.

    Raises HeadstartError for another text.
    """
    text = os.environ.get("HEADSTART_CACHE_SIZE") or CACHE_LIMIT
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(%|[KMGT]?B?)", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise HeadstartError(
            f"HEADSTART_CACHE_SIZE: expected a size such as 50GB or 10%, found {text[:40]}",
            f"unset HEADSTART_CACHE_SIZE (then {CACHE_LIMIT} of the disk)",
        )
    number, unit = float(match[1]), match[2].upper()
    if unit == "%":
        folder = cache_folder().absolute()
        disk = next(path for path in (folder, *folder.parents) if path.exists())
        return int(number / 100 * shutil.disk_usage(disk).total)
    return int(number * 1000 ** " KMGT".index((unit or " ")[0].replace("B", " ")))
