"""Whether two folders of runs or studies hold the same, but for what a clock says.

Left out, because it is time or follows from it: the columns and fields of `TIMES`; `report.html`, which prints them,
and the figure whose axis is time;
the checksums of files that hold them (`checksums.json` of a run, ``checksum`` in `study.json`). Everything else is
compared byte by byte, or number by number.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

TIMES = ("seconds", "images_per_second", "started", "stopped", "elapsed", "took", "estimate")
"""Beginnings of the columns and fields that a clock fills."""
DERIVED = ("report.html", "over-time.svg")
DIGESTS = ("checksums.json",)


def differences(expected: Path, found: Path) -> list[str]:
    """What differs, a line per file; empty for equal folders."""
    names = {file.relative_to(top).as_posix() for top in (expected, found) for file in top.rglob("*") if file.is_file()}
    faults = []
    for name in sorted(names):
        one, other = expected / name, found / name
        if not (one.is_file() and other.is_file()):
            faults.append(f"{name}: only in {'the expected' if one.is_file() else 'the resumed'} folder")
        elif one.name not in DERIVED and _content(one) != _content(other):
            faults.append(f"{name}: differs")
    return faults


def _content(file: Path) -> Any:
    if file.name in DIGESTS:
        return sorted(json.loads(file.read_bytes())["files"])
    if file.suffix == ".json":
        return _without_times(json.loads(file.read_bytes()))
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as table:
            return [{k: v for k, v in row.items() if not _is_time(str(k))} for row in csv.DictReader(table)]
    if file.suffix == ".safetensors" and file.parent.name == "features":
        from safetensors.numpy import load_file

        return {name: array.tobytes() for name, array in load_file(file).items() if not _is_time(name)}
    return file.read_bytes()


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_times(value) for key, value in content.items() if not _is_time(key)}
    if isinstance(content, list):
        return [_without_times(each) for each in content]
    return content


def _is_time(name: str) -> bool:
    return name == "checksum" or name.startswith(TIMES)
