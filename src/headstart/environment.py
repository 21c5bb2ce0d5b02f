"""Versions, machine, extras, and the cache folder. No torch: versions are read from the installed packages."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
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
    """``$HEADSTART_CACHE``, or ``~/.cache/headstart``; it may not exist yet.

    A user without a home, such as a number that a container was started with, has a folder among the temporary ones.
    """
    if given := os.environ.get("HEADSTART_CACHE"):
        return Path(given).absolute()
    try:
        return Path.home().absolute() / ".cache" / "headstart"
    except RuntimeError:
        return Path(tempfile.gettempdir()).absolute() / f"headstart-{os.getuid()}"


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


def require_extra(extra: str, modules: tuple[str, ...]) -> None:
    """Raise HeadstartError if a module of an extra is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise HeadstartError(
            f"{extra}: expected the package {missing[0]}, found it not installed", f"pip install 'headstart[{extra}]'"
        )
