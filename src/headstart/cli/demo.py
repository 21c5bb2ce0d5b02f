"""``headstart demo``: a study of solar cells, defective or functional.

2,624 electroluminescence images of 300 x 300 pixels from the PyPI package elpv-dataset (Deitsch et al. 2019,
doi:10.1016/j.solener.2019.02.067), which reports 82.44 % for an SVM and 88.42 % for a fine-tuned VGG19.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from headstart.comparison.study import read_study
from headstart.comparison.summary import Results
from headstart.comparison.trial_paths import trial_name
from headstart.errors import HeadstartError
from headstart.files import remove_leftovers, require_place, temporary_name

VAL_FRACTION = 0.25
STUDY = ["--recipe", "quick-48px", "--pretraining", "byol-short", "--labels", "0.1,1", "--budget", "none"]
"""Options of the study: thirty trials and their pre-training, under ten minutes on two cores."""
CELL_OVERRIDES = ["augment.vflip=0.5", "augment.rotate=0"]
"""A solar cell has no upper side and is never tilted."""


def solar_cells(target: Path) -> Path:
    """Copy the images to ``target``, unless it exists: train/ and val/, a folder per class. Returns ``target``.

    A cell is defective if the experts' probability is above one half. The split is 75/25, stratified by label and by
    cell type (mono- or polycrystalline), as in the paper. Raises HeadstartError without the package elpv-dataset.
    """
    from sklearn.model_selection import train_test_split

    if target.is_dir():
        return target
    package = find_spec("elpv_dataset")
    if package is None or not package.submodule_search_locations:
        raise HeadstartError("demo: expected the package elpv-dataset, found none", "pip install 'headstart[demo]'")
    source = Path(package.submodule_search_locations[0]) / "data"
    rows = [line.split() for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines() if line.strip()]
    names = [name for name, _, _ in rows]
    labels = ["defective" if float(probability) > 0.5 else "functional" for _, probability, _ in rows]
    strata = [f"{label} {kind}" for label, (_, _, kind) in zip(labels, rows, strict=True)]
    _, val = train_test_split(names, test_size=VAL_FRACTION, stratify=strata, random_state=0)
    val_names, partial = set(val), temporary_name(target)
    remove_leftovers(target.parent, deep=False)
    for name, label in zip(names, labels, strict=True):
        folder = partial / ("val" if name in val_names else "train") / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, folder)
    partial.rename(target)
    return target


def run_demo(out: Path, run_command: Callable[[list[str]], int], console: Console) -> int:
    """Check, study and predict in the folder ``out``, printing each command; returns the exit status.

    ``run_command`` is the command line: arguments in, exit status out. Called again, the study resumes.
    """
    require_place(out, "--out", folder=True)
    data, study = solar_cells(out / "solar-cells"), out / "study"

    def print_and_run(*arguments: object) -> int:
        command = [str(argument) for argument in arguments]
        console.print(f"\n$ headstart {shlex.join(command)}", style="bold", markup=False, soft_wrap=True)
        return run_command(command)

    print_and_run("check", data)
    status = print_and_run("study", data, *STUDY, "--out", study, *CELL_OVERRIDES)
    model = Results(read_study(study / "study.json")).model if status in (0, 1) else None
    if model is None:
        return status
    run = study / "trials" / trial_name(model.setting, model.fraction, model.seed)
    print_and_run("predict", run, data / "val" / "*" / "cell00[0-3]*.png", "--probabilities")
    better = shlex.join(["fit", "quick", str(data), *CELL_OVERRIDES, "train.epochs=9"])
    console.print(
        f"\nreport   {(study / 'report.html').absolute()}  (open it in a browser)"
        f"\nyours    the same commands with your folder instead of {data}"
        f"\nbetter   headstart {better}"
        "\n         (larger images, more epochs: about 88 %; the paper: 82.44 % (SVM), 88.42 % (VGG19 at 300 px))",
        markup=False,
        soft_wrap=True,
    )
    return status
