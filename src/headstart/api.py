"""The Python API; the command line calls the same functions.

Imports of torch (training, inference), scikit-learn (analysis, report) stand in the functions that need
them, so that `check` starts at once and a report is made without torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rich.console import Console

from headstart.console.progress import progress_bar
from headstart.console.signals import ending_as_interrupt
from headstart.console.streams import make_console
from headstart.data.outside import refuse_results_inside
from headstart.data.parallel import Progress
from headstart.errors import HeadstartError
from headstart.files import free_name
from headstart.fitting import complete_run, train_run
from headstart.inference.onnx_model import OnnxModel
from headstart.process import is_first_rank
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.run import PathLike, Run
from headstart.runs.lifecycle import is_nobodys, refuse_unless_free
from headstart.runs.lock import own

if TYPE_CHECKING:
    from pandas import DataFrame

    from headstart.comparison.race_results import RaceResults
    from headstart.comparison.run_comparison import RunComparison
    from headstart.comparison.run_entries import Entry
    from headstart.comparison.summary import Results
    from headstart.data.cache import CacheEntry
    from headstart.data.checks.check import CheckResult
    from headstart.studies.plan import Plan
    from headstart.studies.race_plan import RacePlan
    from headstart.studies.request import StudyOptions

__all__ = [
    "OnnxModel",
    "Run",
    "cache",
    "check",
    "clear_cache",
    "compare",
    "compare_to_page",
    "fit",
    "resume",
    "run_race",
    "run_study",
    "study",
]


def check(
    data: PathLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    page: PathLike | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """Check a dataset: how it is read, class balance, broken files, duplicates, leakage, and every file not used.

    ``overrides`` are fields of a recipe's ``data`` part that training will use, as in ``{"data.layout": "pairs"}`` or
    ``{"data.group_regex": r"^(\\w+)_"}``. ``page`` is an HTML file to write, with pictures of every class beside what
    their label or mask is taken to be. Raises HeadstartError if the layout is not recognized.
    """
    from headstart.data.checks.check import check_with_index

    if other := [name for name in overrides or {} if not name.startswith("data.")]:
        raise HeadstartError(
            f"check {other[0]}: expected a field of data, found another part", "headstart recipe show quick"
        )
    index, result = check_with_index(os.fspath(data), recipes.load("quick", overrides).data, progress)
    if page is not None:
        from headstart.report.check_page import write_check_page

        write_check_page(index, result, Path(page))
    return result


def fit(
    recipe: PathLike | Recipe,
    data: PathLike,
    *,
    out: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Run:
    """Train a recipe on a folder of images.

    ``recipe`` is the name of a shipped recipe, a TOML file, or a `Recipe`; ``overrides`` change its fields, as in
    ``{"train.epochs": 5}``. The run goes to ``out``, or to a new folder under ``runs/``. Progress is shown on
    ``console`` (default: the terminal). Ctrl-C saves and returns the unfinished run, which `resume` continues.
    Raises HeadstartError for errors that the caller can fix.
    """
    from headstart.data.layouts import require_folder

    name = recipe if isinstance(recipe, Recipe) else os.fspath(recipe)
    config = recipes.override(name, overrides) if isinstance(name, Recipe) else recipes.load(name, overrides)
    require_folder(Path(data))
    stem = f"{config.name}-{Path(data).absolute().name}"
    folder = Path(out) if out is not None else free_name(Path("runs"), stem, is_nobodys)
    refuse_unless_free(folder)  # before there is a lock in it
    refuse_results_inside(folder, [data])
    from headstart.training.setup import start  # PyTorch takes seconds: what is typed wrongly is told before

    return train_run(folder, lambda progress: start(config, os.fspath(data), folder, progress), console)


def resume(run: PathLike, data: PathLike | None = None, *, console: Console | None = None) -> Run:
    """Continue a run that was stopped; ``data`` is where its images are now, if they have moved.

    What a run lacks that is trained already, maps or report among it, is made; a finished run is returned as it is.
    """
    from headstart.training.creation import missing_at_start
    from headstart.training.setup import resume as resume_training

    console, moved, opened = console or make_console(stderr=True), None if data is None else os.fspath(data), Run(run)
    if not opened.folder.trained:
        return train_run(opened.path, lambda progress: resume_training(opened.path, moved, progress), console)
    if is_first_rank():
        with own(opened.path), ending_as_interrupt(), suppress(KeyboardInterrupt):
            if missing_at_start(opened.folder):
                with progress_bar(console, "decode images") as progress:
                    resume_training(opened.path, moved, progress)
            complete_run(opened, console)
    return opened


def study(
    data: PathLike,
    *,
    backbones: Sequence[str] | str | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    budget: str | None = "auto",
    console: Console | None = None,
    **options: Unpack[StudyOptions],
) -> DataFrame:
    """Measure what each kind of pre-training gains on ``data``: one table row per setting and fraction.

    Options are those of `studies.request.StudyOptions`, such as ``settings="ADE"``, letters A to G; ``labels=[0.1,
    1]``, label fractions; ``seeds=5``; ``unlabeled`` and ``corpus``, to pre-train on; ``recipe``, ``pretraining`` and
    ``overrides`` of the recipe's fields; ``folds=5`` to cross-validate. A study on masks has a column ``miou`` in the
    place of ``accuracy``. The study's folder, ``out`` or ``runs/study-DATA``, holds the report; called again, the study
    continues. ``budget`` ("10m", "2h", "auto" for 10m or the least that is needed, "none" for all that is asked for)
    chooses image size, epochs, label fractions and seeds to fit, and a larger one refines the study later. ``jobs``
    trials are trained at the same time, or those of ``cluster`` ("local:4", "tcp://HOST:8786", "slurm:FILE";
    docs/cluster.md). Raises HeadstartError for what the caller can fix.

    ``backbones`` compares weights in the place of settings: timm names, run folders, weights files or "NAME=FILE"
    race on frozen features, the last two are fine-tuned, and the table has a row per backbone and round (`run_race`).
    """
    import pandas as pd

    from headstart.comparison import race_results
    from headstart.comparison.table import table_rows

    if backbones is not None:
        _, race = run_race(data, backbones, jobs=jobs, cluster=cluster, budget=budget, console=console, **options)
        return pd.DataFrame(race_results.table_rows(race))
    _, results = run_study(data, jobs=jobs, cluster=cluster, budget=budget, console=console, **options)
    return pd.DataFrame(table_rows(results))


def run_study(
    data: PathLike,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    budget: str | None = "auto",
    console: Console | None = None,
    planned: Callable[[Plan], object] = lambda _: None,
    **options: Unpack[StudyOptions],
) -> tuple[Plan, Results]:
    """A study as `study` runs it: its plan, which ``planned`` is given before the first trial, and its results."""
    from headstart.comparison.summary import Results
    from headstart.console import study_progress
    from headstart.data.dataset import Dataset
    from headstart.studies.request import make_plan

    dataset = Dataset(data)
    plan = make_plan(dataset, **options)
    planned(plan)
    study = study_progress.run_study_with_progress(
        plan, dataset, jobs=jobs, cluster=cluster, budget=budget, console=console
    )
    return plan, Results(study)


def run_race(
    data: PathLike,
    backbones: Sequence[str] | str,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    budget: str | None = "auto",
    console: Console | None = None,
    planned: Callable[[RacePlan], object] = lambda _: None,
    **options: Unpack[StudyOptions],
) -> tuple[RacePlan, RaceResults]:
    """A race of backbones, each with its weights: its plan, which ``planned`` is given first, and its results.

    Options are those of `study`; of ``settings`` there are "D", probes alone, and by default "DB". The recipe's own
    backbone takes part. The folder is ``out`` or ``runs/race-DATA``.
    """
    from headstart.comparison.race_results import RaceResults
    from headstart.console.race_progress import run_race_with_progress
    from headstart.data.dataset import Dataset
    from headstart.studies.race_plan import make_race_plan

    dataset = Dataset(data)
    plan = make_race_plan(dataset, backbones, options)
    planned(plan)
    return plan, RaceResults(
        run_race_with_progress(plan, dataset, jobs=jobs, cluster=cluster, budget=budget, console=console)
    )


def compare(
    runs: Sequence[PathLike | Run],
    *,
    page: PathLike | None = None,
    overwrite: bool = False,
    unfinished: bool = False,
) -> RunComparison:
    """Compare runs on the validation images that all of them share, from the predictions that they hold.

    ``runs`` are run folders, or one study folder alone: each setting with the most labels. Runs of one recipe that
    differ in nothing but the seed are one entry. Of the result, ``entries`` and ``scores`` are in the same order,
    ``difference(0, 1)`` is the paired difference of the second to the first, from -1 to 1, with its ``interval`` and
    whether it is ``significant``; ``changes(0, 1)`` are the images mended and broken, ``class_differences(0, 1)`` the
    classes. ``page`` is an HTML file to write. Raises HeadstartError for a file there that is not the page of these
    runs (unless ``overwrite``), for runs that are not finished (unless ``unfinished``), of different tasks or classes,
    and without a common image.
    """
    from headstart.comparison.run_entries import find_entries

    entries = find_entries(_paths(runs), unfinished=unfinished)
    return _compared(entries, None if page is None else Path(page), overwrite)


def compare_to_page(
    runs: Sequence[PathLike | Run],
    *,
    page: PathLike | None = None,
    overwrite: bool = False,
    unfinished: bool = False,
) -> tuple[RunComparison, Path]:
    """`compare` with a page, and where that is: by default `comparison.html` beside the first run, or in the study."""
    from headstart.comparison.run_entries import find_entries
    from headstart.report.compare_page import free_page

    paths = _paths(runs)
    entries = find_entries(paths, unfinished=unfinished)
    if page is not None:
        return _compared(entries, Path(page), overwrite), Path(page)
    free = free_page(paths[0] if entries[0].setting else paths[0].absolute().parent, entries)
    return _compared(entries, free, overwrite=True), free


def _paths(runs: Sequence[PathLike | Run]) -> list[Path]:
    return [Path(each.path if isinstance(each, Run) else each) for each in ([runs] if isinstance(runs, str) else runs)]


def _compared(entries: Sequence[Entry], page: Path | None, overwrite: bool) -> RunComparison:
    from headstart.comparison.run_comparison import RunComparison
    from headstart.comparison.shared_images import read_shared_images

    if page is None:
        return RunComparison(entries, read_shared_images(entries))
    from headstart.report.compare_page import require_writable, write_comparison

    require_writable(page, entries, overwrite)
    comparison = RunComparison(entries, read_shared_images(entries))
    write_comparison(comparison, page)
    return comparison


def cache() -> list[CacheEntry]:
    """What is in the cache folder (decoded images, drawn masks, duplicates), the least recently used first."""
    from headstart.data.cache import entries

    return entries()


def clear_cache() -> tuple[int, int]:
    """Remove what is in the cache folder, except what a live process uses: (entries, bytes) removed."""
    from headstart.data.cache import clear

    return clear()
