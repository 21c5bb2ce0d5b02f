"""A table that would take more memory than there is, is refused before its rows are made; the oracle is tracemalloc."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from headstart import file_memory
from headstart.data import csv_files
from headstart.data.csv_files import read_csv, without_header
from headstart.file_memory import TooLargeError

ROWS = 2_000
CONTENTS = {
    "usual": "filename,label\n" + "".join(f"photographs/{n}.jpg,cat\n" for n in range(ROWS)),
    "short lines of a wide table": ",".join(f"column {n}" for n in range(300)) + "\n" + "x\n" * ROWS,
    "wide": ",".join(f"column {n}" for n in range(100)) + "\n" + ("12.5," * 99 + "1\n") * (ROWS // 10),
    "one column": "filename\n" + "ab\n" * ROWS,
    "carriage returns": "a,b\r" + "cd,ef\r" * ROWS,
    "semicolons, no header": "".join(f"{n}.jpg;dog;3.25\n" for n in range(ROWS)),
    "spaces": "".join(f"{n}.jpg 3\n" for n in range(ROWS)),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_it_takes_is_not_underestimated(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, needed = tmp_path / "labels.csv", [0]
    file.write_text(CONTENTS[name], encoding="utf-8", newline="")

    def note(file: Path, bytes_: int, kind: str, hint: str) -> None:
        needed.append(bytes_)

    monkeypatch.setattr(csv_files, "require_room", note)
    read_csv(file)  # what is imported or cached then is no content
    tracemalloc.start()
    try:
        tables = [read_csv(file)]
        tables.append(without_header(tables[0]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(tables[1].rows) == len(tables[0].rows) + 1
    assert peak < sum(needed[-2:]) < 10 * peak


def test_a_megabyte_that_would_take_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(",".join(f"c{n}" for n in range(10_000)) + "\n" + "x\n" * 500_000)
    monkeypatch.setattr(file_memory, "available_memory", lambda: 1 << 33)
    with pytest.raises(TooLargeError, match=r"labels\.csv: expected a table that takes at most 6\.87 GB of memory"):
        read_csv(file)
    monkeypatch.setattr(file_memory, "available_memory", lambda: None)  # where the system does not say
    file.write_text("filename,label\na.jpg,b\n")
    assert len(read_csv(file).rows) == 1
