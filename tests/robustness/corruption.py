"""Corrupt each file of a finished run in each way; then every command says one line, or the same as before."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from robustness.commands import run
from robustness.compare import differences
from robustness.scenarios import Scenario

Corrupt = Callable[[Path, random.Random], object]


def _cut(file: Path, draw: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(1, max(2, len(content)))])


def _flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def _folder(file: Path, _: random.Random) -> None:
    file.unlink()
    file.mkdir()


WAYS: dict[str, Corrupt] = {
    "emptied": lambda file, _: file.write_bytes(b""),
    "cut": _cut,
    "flipped": _flip,
    "folder": _folder,
    "not UTF-8": lambda file, _: file.write_bytes(b"\xff\xfe\xe9" + file.read_bytes()),
    "another type": lambda file, _: file.write_bytes(b"[]\n"),
    "removed": lambda file, _: file.unlink(),
}
DERIVED = ("report.html", "analysis/feature_analysis.json", "analysis/maps.csv")


def commands(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """What is asked of a corrupted run, and where each answer goes."""
    data = scenario.words[2]
    out = "masks" if scenario.name == "segment" else "predictions.csv"
    return {
        "predict": ("predict", "run", data, "--out", f"out/{out}"),
        "evaluate": ("evaluate", "run", data),
        "report": ("report", "run"),
        "map": ("map", "run"),
    }


def trials(scenario: Scenario, top: Path, seed: int) -> Iterator[tuple[str, Callable[[Path], str | None]]]:
    """(case, trial) for each file and way."""
    before = top / f"before-{scenario.name}"
    shutil.copytree(scenario.expected, before / "run")
    if scenario.name == "classify":  # files that no training writes
        status, said = run(("labels", "run"), before, scenario.environment(before))
        if status:
            raise RuntimeError(f"labels of the run: status {status}: {said}")
    whole = top / f"whole-{scenario.name}-to-damage"
    shutil.copytree(before / "run", whole)
    answers = _answers(scenario, before)
    names = sorted(file.relative_to(whole).as_posix() for file in whole.rglob("*") if file.is_file())
    for name in (name for name in names if not name.startswith(("masks/", ".")) or name.endswith("/0.png")):
        for way, corrupt in WAYS.items():
            case = f"corrupt/{scenario.name}/{name.replace('/', ':')}/{way}"

            def trial(folder: Path, case: str = case, name: str = name, corrupt: Corrupt = corrupt) -> str | None:
                shutil.copytree(whole, folder / "run")
                corrupt(folder / "run" / name, random.Random(f"{seed}/{case}"))
                return _compared(scenario, folder, answers)

            yield case, trial


def _answers(scenario: Scenario, folder: Path) -> dict[str, tuple[int | None, str]]:
    """Status and what was said, of each command; what they write is left in ``folder``."""
    found = {}
    for name, words in commands(scenario).items():
        (folder / "out").mkdir(exist_ok=True)
        found[name] = run(words, folder, scenario.environment(folder))
    return found


def _compared(scenario: Scenario, folder: Path, expected: dict[str, tuple[int | None, str]]) -> str | None:
    whole = scenario.expected.parents[1] / f"before-{scenario.name}"
    faults = []
    for name, (status, said) in _answers(scenario, folder).items():
        lines = [line for line in said.splitlines() if line.startswith("error ")]
        if "Traceback" in said:
            faults.append(f"{name}: traceback: {said.strip().splitlines()[-1]}")
        elif status == 2 and len(lines) != 1:
            faults.append(f"{name}: {len(lines)} error lines")
        elif status not in (0, 2):
            faults.append(f"{name}: status {status}")
        elif status == 0 and not _warned(said) and name == "evaluate" and said != expected[name][1]:
            faults.append("evaluate: another answer without a word")
        elif status == 0 and not _warned(said) and name == "predict" and differences(whole / "out", folder / "out"):
            faults.append("predict: other predictions without a word")
        elif status == 0 and not _warned(said) and name == "map" and _changed(whole, folder):
            faults.append("map: another answer without a word")
    return "; ".join(faults) if faults else None


def _warned(said: str) -> bool:
    return any(line.lower().startswith(("warning", "note")) for line in said.splitlines())


def _changed(whole: Path, folder: Path) -> bool:
    names = ("analysis/feature_analysis.json", "analysis/maps.csv")
    return any(fault.partition(":")[0] in names for fault in differences(whole / "run", folder / "run"))
