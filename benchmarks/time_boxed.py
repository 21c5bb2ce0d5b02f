"""Does a study keep to its budget, when does it first say something significant, and does a longer one say so too?

``python benchmarks/time_boxed.py run FOLDER BUDGET OUT [OPTION ...]`` types `headstart study FOLDER --budget BUDGET
--out OUT OPTION ...`, keeps what `study.json` held after each trial, and prints when the table had its first line, when
the first difference was significant, the end as a share of the budget, and what is significant then.

``python benchmarks/time_boxed.py compare SHORT LONG`` asks of each significant difference of the study SHORT with all
labels whether LONG, of the same images, finds it significant too, with the same sign.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from headstart.comparison.intervals import Difference
from headstart.comparison.study import read_study
from headstart.comparison.summary import Results
from headstart.studies.budget import read_budget


def significant(results: Results) -> dict[tuple[str, str, float], Difference]:
    """The significant differences of the family that a page draws: (setting, setting, label fraction) -> difference."""
    found = {each: results.difference(*each) for each in results.family}
    return {each: gap for each, gap in found.items() if gap is not None and gap.significant}


def run(folder: str, budget: str, out: str, *options: str) -> None:
    command = [sys.executable, "-m", "headstart", "study", folder, "--budget", budget, "--out", out, *options]
    began, seen = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as kept:
        process = subprocess.Popen(command)
        while process.poll() is None:
            file = Path(out, "study.json")
            changed = file.stat().st_mtime_ns if file.exists() else 0
            if changed != seen:
                seen = changed
                shutil.copy(file, Path(kept, f"{time.monotonic() - began:07.1f}.json"))
            time.sleep(0.5)
        took = time.monotonic() - began
        first_trial = first_difference = None
        for file in sorted(Path(kept).iterdir()):
            results = Results(read_study(file))
            if results.study.done:
                first_trial = first_trial or float(file.stem)
            if significant(results):
                first_difference = float(file.stem)
                break
    results = Results(read_study(Path(out, "study.json")))
    allowed = read_budget(budget)
    share = "" if allowed is None else f", {100 * took / allowed:.0f} % of the budget"
    print(f"status {process.returncode}, {results.study.done} of {results.study.planned} trials")
    print(f"first trial after {first_trial} s, first significant difference after {first_difference} s")
    print(f"end after {took:.0f} s{share}; {results.study.shortened}")
    for (one, two, fraction), gap in significant(results).items():
        low, high = 100 * gap.interval.low, 100 * gap.interval.high
        print(f"  {one} - {two} at {fraction:g}: {100 * gap.interval.value:+.1f} ({low:+.1f} to {high:+.1f})")


def compare(short: str, long: str) -> None:
    one, other = (Results(read_study(Path(each, "study.json"))) for each in (short, long))
    confirmed, every = 0, [each for each in significant(one) if each[2] == max(one.study.fractions)]
    for each in every:
        gap, longer = significant(one)[each], other.difference(*each)
        said = "not in the longer study"
        if longer is not None:
            same = longer.significant and (longer.interval.value > 0) == (gap.interval.value > 0)
            confirmed += same
            low, high = 100 * longer.interval.low, 100 * longer.interval.high
            said = f"{100 * longer.interval.value:+.1f} ({low:+.1f} to {high:+.1f}){'' if same else ', NOT confirmed'}"
        print(f"{each[0]} - {each[1]}: {100 * gap.interval.value:+.1f} in the short one; {said}")
    print(f"confirmed {confirmed} of {len(every)}")
    for each, gap in significant(other).items():
        if each[2] == max(other.study.fractions) and each not in every:
            print(f"only in the longer one: {each[0]} - {each[1]} {100 * gap.interval.value:+.1f}")


if __name__ == "__main__":
    (run if sys.argv[1] == "run" else compare)(*sys.argv[2:])
