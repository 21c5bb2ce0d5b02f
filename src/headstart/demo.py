"""The demonstration: solar cells, defective or not, as a folder of photographs that anyone could have.

2,624 electroluminescence pictures of 300 x 300 pixels from the PyPI package elpv-dataset (Deitsch et al. 2019,
doi:10.1016/j.solener.2019.02.067), which reports 82.44 % for an SVM and 88.42 % for a fine-tuned VGG19.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from headstart.data.cache import cache_folder
from headstart.errors import HeadstartError
from headstart.run import free_name

VAL_FRACTION = 0.25


def solar_cells() -> Path:
    """The pictures in folders train/ and val/, a folder per class; made once, in the cache.

    A cell is defective when the experts' probability for it is above one half. The split is 75/25, stratified by
    label and by cell type (mono- or polycrystalline), as in the paper.
    """
    from sklearn.model_selection import train_test_split

    package = find_spec("elpv_dataset")
    if package is None or not package.submodule_search_locations:
        raise HeadstartError("demo: expected the package elpv-dataset, found none", "pip install 'headstart[demo]'")
    source = Path(package.submodule_search_locations[0]) / "data"
    target = cache_folder() / "demo" / "solar-cells"
    if target.is_dir():
        return target
    rows = [line.split() for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines() if line.strip()]
    names = [name for name, _, _ in rows]
    labels = ["defective" if float(probability) > 0.5 else "functional" for _, probability, _ in rows]
    strata = [f"{label} {kind}" for label, (_, _, kind) in zip(labels, rows, strict=True)]
    _, val = train_test_split(names, test_size=VAL_FRACTION, stratify=strata, random_state=0)
    held_out, half_made = set(val), target.with_name(f".{target.name}.part")
    shutil.rmtree(half_made, ignore_errors=True)
    for name, label in zip(names, labels, strict=True):
        folder = half_made / ("val" if name in held_out else "train") / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, folder)
    half_made.rename(target)
    return target


def show(out: Path, seed: int, console: Console, progress_console: Console) -> None:
    """Check, fit, report, predict, as a user would, saying each command; the run goes to ``out``/run."""
    from headstart import api
    from headstart.predict import Predictions, find_images
    from headstart.tables import health_table

    data = solar_cells()
    run_path = free_name(out, "solar-cells")
    console.print(f"[bold]$ headstart check {data}[/bold]", soft_wrap=True)
    console.print(health_table(api.check(data)))
    # A cell has no upper side and is never tilted; two thousand images are seen a little longer.
    changes = {"views.vertical_flip": 0.5, "views.rotate": 0, "train.epochs": 9, "seed": seed}
    typed = " ".join(f"{name}={value}" for name, value in changes.items())
    console.print(f"\n[bold]$ headstart fit quick {data} {typed} --out {run_path}[/bold]", soft_wrap=True)
    run = api.fit("quick", data, run_path, changes, progress_console)
    if not run.finished:
        console.print(f"stopped and saved; go on with: headstart fit --resume {run.path}", soft_wrap=True)
        raise SystemExit(130)
    some = [str(file) for kind in ("defective", "functional") for file in find_images([data / "val" / kind])[:3]]
    console.print(f"\n[bold]$ headstart predict {run.path} {data}/val/*/...png[/bold]", soft_wrap=True)
    answer = run.predict(some)
    assert isinstance(answer, Predictions)
    for row in answer.rows(probabilities=True):
        console.print(",".join(str(value) for value in row.values()))
    console.print(
        f"\nvalidation accuracy [bold]{run.accuracy:.2%}[/bold]"
        " (the paper: 82.44 % with an SVM, 88.42 % with a fine-tuned VGG19 at 300 px)"
        f"\nreport   [bold]{run.report().absolute()}[/bold]  (open it in a browser)"
        "\nnow you  headstart check YOUR_FOLDER, then headstart fit quick YOUR_FOLDER",
        soft_wrap=True,
    )
