"""One command, one call of one function. Heavy imports stand inside the commands, so that --help is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headstart.api import Run
    from headstart.judging import MaskEvaluation
    from headstart.predict import Counting, Evaluation
    from headstart.run import RunFolder

OUT, ERR = Console(highlight=False), Console(stderr=True, highlight=False)

app = typer.Typer(
    name="headstart",
    help="""How much does pre-training buy you on your own images?

    Begin with: [bold]headstart demo[/bold] (solar cells, eight minutes), or with a folder of your own:
    [bold]headstart check photos/[/bold], then [bold]headstart study photos/[/bold], or for a classifier alone
    [bold]headstart fit quick photos/[/bold].
    """,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipe_app = typer.Typer(no_args_is_help=True, help="List, show and copy the recipes that come with headstart.")
app.add_typer(recipe_app, name="recipe")

DATA_HELP = """The images: a folder per class, with or without train/ and val/ folders; files called {class}_{id};
or a CSV file (or a folder with one) with the columns filename,label. With masks: X_sat.jpg and X_mask.png, or folders
images/ and masks/."""
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/quick-photos.")]
Unreadable = Sequence[tuple[Path, str]]
"""(file, reason)."""
Unfinished = Annotated[bool, typer.Option("--unfinished", help="Use the best weights so far of an unfinished run.")]


@app.command(rich_help_panel="Train")
def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)],
    group: Annotated[
        str | None, typer.Option(help="Regular expression for an image's source (patient, video) in its path.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, for programs.")] = False,
) -> None:
    """Say what a folder of images holds, and what is wrong with it.

    Exit status: 0 nothing found, 1 something found, 2 cannot be trained on.
    """
    from headstart.data.check import check as look
    from headstart.tables import health_table
    from headstart.watch import bar

    try:
        with bar(ERR, "look at images") as progress:
            health = look(data, group, progress=progress)
    except HeadstartError as error:
        if as_json:
            _print_json({"status": 2, "error": error.problem, "do": error.do})
        raise
    if as_json:
        _print_json(health.to_json())
    else:
        OUT.print(health_table(health))
    if health.to_name is not None:
        _say_what_to_name(Path(health.root), *health.to_name)
    raise typer.Exit(health.status)


def _say_what_to_name(root: Path, name: str, text: str) -> None:
    """Write the classes that were found beside the masks, to be filled in; where that cannot be, print them."""
    stem, _, suffix = name.partition(".")
    found = root / f"{stem}.found.{suffix}"
    if not found.exists():
        try:
            found.write_text(text, encoding="utf-8")
        except OSError:
            ERR.print(f"Put names to these classes, in {root / name}:\n{text}", markup=False)
            return
    ERR.print(f"Put names to the classes in {found}, then: mv {found} {root / name}", markup=False, soft_wrap=True)


@app.command(rich_help_panel="Train")
def fit(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A shipped recipe (headstart recipe ls) or a .toml file.")
    ] = None,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA_HELP)] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Changes to the recipe: train.epochs=5")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The run folder to make. [dim]Default: runs/RECIPE-DATA[/dim]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped, where it stood.")
    ] = None,
    moved_to: Annotated[
        Path | None, typer.Option(metavar="DATA", help="With --resume: where the run's images are now.")
    ] = None,
) -> None:
    """Train, and write a run folder: weights, metrics, predictions, report.

    [bold]headstart fit quick photos/[/bold] trains in minutes on a laptop.
    [bold]headstart fit --resume runs/quick-photos[/bold] goes on after Ctrl-C or a crash.
    """
    from headstart import api
    from headstart.recipe import read_overrides

    if resume is not None:
        if recipe is not None:
            raise HeadstartError(
                f"fit --resume: expected no recipe (a run keeps its own), found {recipe}",
                f"headstart fit --resume {resume}",
            )
        run = api.resume(resume, moved_to, console=ERR)
    elif recipe is None or data is None:
        missing = "RECIPE and DATA" if recipe is None else "DATA"
        raise HeadstartError(f"fit: expected {missing}, found nothing", "headstart fit quick photos/")
    else:
        run = api.fit(recipe, data, out, read_overrides(overrides or []), console=ERR)
    _say_what_next(run)


def _say_what_next(run: Run) -> None:
    if not run.finished:
        ERR.print(f"stopped and saved; go on with: [bold]headstart fit --resume {run.path}[/bold]", soft_wrap=True)
        raise typer.Exit(130)
    from headstart.insight.health import verdict
    from headstart.run import classifier_command

    health = verdict(run.metrics)
    if health is not None:
        result = f"{health.sentence} {health.do}".strip()
        use = classifier_command(run.folder)
    elif run.miou is not None:
        result = f"validation mIoU {run.miou:.2%}, pixel accuracy {run.accuracy:.2%}"
        use = f"headstart predict {run.path} IMAGES --out masks"
    else:
        result, use = f"validation accuracy {run.accuracy:.2%}", f"headstart predict {run.path} IMAGES --out labels.csv"
    OUT.print(f"{result}\nrun      {run.path}\nreport   {run.path / 'report.html'}", markup=False, soft_wrap=True)
    OUT.print(f"use it   {use}", markup=False, soft_wrap=True)


@app.command(rich_help_panel="Train")
def study(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Changes to the recipe: train.epochs=5")
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Images to pre-train on without labels. [dim]Default: the training images[/dim]"
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Labelled images to pre-train on. [dim]Default: the recipe's weights[/dim]"),
    ] = None,
    settings: Annotated[
        str,
        typer.Option(
            help="A from scratch; B fine-tune supervised, C self-supervised; D probe supervised, E self-supervised;"
            " F continued pre-training; G probe random."
        ),
    ] = "ABCDE",
    labels: Annotated[
        str | None, typer.Option(metavar="0.1,0.5,1", help="Label fractions. [dim]Default: 0.05,0.1,0.25,0.5,1[/dim]")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Each cell so many times: error bars come of it.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Cells trained at the same time, sharing the cores.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="[dim]Default: runs/study-DATA[/dim]")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="What every cell is made from, a name or a file. [dim]Default: quick; for masks segment-quick[/dim]",
        ),
    ] = None,
    pretraining: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="Self-supervised pre-training. [dim]Default: byol-quick; for masks byol-tiles[/dim]",
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option(help="Choose each setting's learning rate on training images; else one recipe for all.")
    ] = True,
    budget: Annotated[str | None, typer.Option(metavar="30m", help="Choose epochs to fit into this time.")] = None,
) -> None:
    """How much does each kind of pre-training buy on your images? Trains the grid, and makes one table.

    It says first how long it will take, shows a table from the first minutes, and goes on where it stood when it is
    called again. Exit status 1 when a cell failed: the table marks it, and the next call tries it again.
    """
    from headstart import api
    from headstart.insight.results import Results
    from headstart.insight.verdicts import headline, verdicts
    from headstart.recipe import read_overrides
    from headstart.tables import study_table

    fractions = None if labels is None else [_share(text) for text in labels.split(",")]
    changes = read_overrides(overrides or [])
    plan = api.plan_study(data, unlabelled, corpus, settings, fractions, seeds, out, recipe, pretraining, changes, tune)
    try:
        results = Results(api.carry_out_study(plan, jobs, budget, ERR))
    except KeyboardInterrupt:
        ERR.print(f"stopped; the same command goes on where it stood ({plan.out})", soft_wrap=True)
        raise typer.Exit(130) from None
    OUT.print(study_table(results, wide=OUT.width >= 110))
    OUT.print(f"\n{headline(results)}", markup=False)
    for verdict in verdicts(results):
        OUT.print(f"- {verdict}", markup=False)
    OUT.print(f"\ntable    {plan.out / 'table.csv'}\nreport   {plan.out / 'report.html'}", markup=False, soft_wrap=True)
    model = results.model
    if model is not None:
        run = plan.cell_folder(model.setting, model.fraction, model.seed)
        OUT.print(f"use it   headstart predict {run} IMAGES --out labels.csv", markup=False, soft_wrap=True)
    raise typer.Exit(1 if results.study.failed else 0)


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise HeadstartError(
            f"--labels: expected shares such as 0.1,0.5,1, found {text}", "headstart study --help"
        ) from None


@app.command(rich_help_panel="Look")
def report(run: RunArgument) -> None:
    """(Re)write the report of a run: one HTML file with all it needs. Works while the run is training, too."""
    from headstart.api import Run

    OUT.print(str(Run(run).report()), soft_wrap=True)


@app.command("map", rich_help_panel="Look")
def make_map(
    run: RunArgument,
    perplexity: Annotated[
        float | None, typer.Option(min=1, help="About how many neighbours t-SNE heeds. [dim]Default: 30[/dim]")
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(metavar="1,50,100", help="Epochs, of those stored. [dim]Default: all of them[/dim]")
    ] = None,
    split: Annotated[Literal["all", "val", "train"], typer.Option(help="Which images to map.")] = "all",
    seed: Annotated[int, typer.Option(help="The same number gives the same map.")] = 0,
) -> None:
    """Map and measure what the network saw over its epochs, without training, and put it into the report."""
    from headstart import api
    from headstart.insight.findings import findings
    from headstart.tables import learned_table

    chosen = [_epoch(text) for text in epochs.split(",")] if epochs else []
    opened = api.Run(run)
    with ERR.status("map what the network saw"):
        learned = opened.map(perplexity, chosen, split, seed)
    OUT.print(learned_table(learned))
    for finding in findings(opened.metrics, opened.folder.recipe.keep.metric, learned):
        OUT.print(f"- {finding}", markup=False)
    OUT.print(f"report   {opened.report()}", markup=False, soft_wrap=True)


def _epoch(text: str) -> int:
    if not text.strip().isdecimal():
        raise HeadstartError(f"--epochs: expected numbers such as 1,50,100, found {text}", "headstart map --help")
    return int(text)


@app.command(rich_help_panel="Use")
def predict(
    run: RunArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES", help="Folders, files or patterns; with --list, the files' folder.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; of masks the folder. [dim]Default: print the CSV[/dim]")
    ] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add a column per class.")] = False,
    listed: Annotated[
        Path | None, typer.Option("--list", help="A CSV with a column filename: fill in its column label.")
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Of masks: write each image under its mask too.")] = False,
    flip: Annotated[
        bool, typer.Option("--flip", help="Of masks: average over mirror images, as many as training saw.")
    ] = False,
    unfinished: Unfinished = False,
) -> None:
    """Label images: a CSV with the columns filename,label; or, from a run on masks, a mask for each image.

    [bold]headstart predict RUN photos/ --out masks/[/bold] writes photo_mask.png for photo.jpg.
    Images may then be of any size, GeoTIFF files too (pip install 'headstart\\[geo]').

    Exit status 1 when some files could not be read: they are named, and left out.
    """
    from headstart.run import RunFolder

    folder = RunFolder.open(run)
    unreadable: Unreadable
    if folder.palette is not None:
        if out is None or probabilities or listed is not None:
            raise HeadstartError(
                f"predict: expected --out FOLDER and neither --probabilities nor --list ({run} answers with masks)",
                f"headstart predict {run} IMAGES --out masks",
            )
        unreadable = _write_masks(folder, images, out, overlay, flip, unfinished)
    else:
        if overlay or flip:
            raise HeadstartError(
                f"predict: expected no --overlay and no --flip, which are of masks ({run} answers with labels)",
                "headstart predict --help",
            )
        unreadable = _write_labels(folder, images, out, probabilities, listed, unfinished)
    for file, reason in unreadable:
        ERR.print(f"left out {file}: {reason}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if unreadable else 0)


def _write_labels(
    folder: RunFolder, images: list[str], out: Path | None, probabilities: bool, listed: Path | None, unfinished: bool
) -> Unreadable:
    from headstart.predict import fill_in, find_images, load
    from headstart.predict import predict as look
    from headstart.run import table, write_atomically
    from headstart.watch import bar

    if listed is not None and (probabilities or len(images) != 1 or not Path(images[0]).is_dir()):
        raise HeadstartError("predict --list: expected one folder and no --probabilities", "headstart predict --help")
    files = find_images(images) if listed is None else []
    model = load(folder, unfinished)
    with bar(ERR, "look at images") as progress:
        if listed is not None:
            rows, answer = fill_in(listed, model, Path(images[0]), progress)
        else:
            answer = look(model, files, progress)
            rows = answer.rows(probabilities)
    content = table(rows) if rows else b"filename,label\n"
    if out is None:
        sys.stdout.write(content.decode())
    else:
        write_atomically(out, content)
        ERR.print(f"{len(rows)} labels written to {out}", soft_wrap=True)
    return answer.unreadable


def _write_masks(
    folder: RunFolder, images: list[str], out: Path, overlay: bool, flip: bool, unfinished: bool
) -> Unreadable:
    from headstart.predict import load
    from headstart.segmenting import find_scenes, write_masks
    from headstart.watch import bar

    files = find_scenes(images)
    model = load(folder, unfinished)
    with bar(ERR, "look at tiles") as progress:
        written = write_masks(model, files, out, overlay, flip, progress)
    ERR.print(f"{len(written.masks)} masks written to {out}", soft_wrap=True)
    return written.unreadable


@app.command(rich_help_panel="Use")
def evaluate(
    run: RunArgument,
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)],
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all. [dim]Default: what was not trained on[/dim]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all measures as JSON, for programs.")] = False,
    unfinished: Unfinished = False,
) -> None:
    """All measures of a run on labelled images, or on pairs of image and mask, with their 95 % bootstrap intervals."""
    from headstart.run import RunFolder
    from headstart.watch import bar

    folder = RunFolder.open(run)
    judge = _judge_labels if folder.palette is None else _judge_masks
    with bar(ERR, "look at images") as progress:
        answer, measures, shown = judge(folder, data, split, unfinished, progress)
    if answer.left_out:
        said = (
            f"left out {answer.left_out:,} images that {folder.path} was trained on (--split {answer.split} keeps them)"
        )
        ERR.print(said, markup=False, soft_wrap=True)
    if as_json:
        _print_json({"split": answer.split, "left_out": answer.left_out, **measures})
    else:
        OUT.print(shown)


def _judge_labels(
    folder: RunFolder, data: str, split: str | None, unfinished: bool, progress: Counting
) -> tuple[Evaluation, dict[str, Any], RenderableType]:
    from headstart.insight.measures import measure
    from headstart.predict import evaluate, load
    from headstart.tables import measures_table

    answer = evaluate(load(folder, unfinished), folder, data, split, progress)
    measures = measure(answer.labels, answer.probabilities, folder.classes)
    return answer, measures.to_json(), measures_table(measures, answer.split)


def _judge_masks(
    folder: RunFolder, data: str, split: str | None, unfinished: bool, progress: Counting
) -> tuple[MaskEvaluation, dict[str, Any], RenderableType]:
    from headstart.insight.iou import measure_masks
    from headstart.judging import evaluate_masks
    from headstart.predict import load
    from headstart.tables import mask_measures_table

    answer = evaluate_masks(load(folder, unfinished), folder, data, split, progress)
    measures = measure_masks(answer.confusion, folder.classes)
    return answer, measures.to_json(), mask_measures_table(measures, answer.split)


@app.command(rich_help_panel="Train")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where pictures and study go.")] = Path("demo"),
) -> None:
    """What does pre-training buy on 2,624 photographs of solar cells, defective or not? About eight minutes.

    It types the commands in that you would, and shows them; called again, it goes on where it stood.
    """
    from headstart.demo import show

    raise typer.Exit(show(out, lambda words: app(words, standalone_mode=False) or 0, OUT))


@recipe_app.command("ls")
def recipe_ls() -> None:
    """The recipes that come with headstart, with the number to expect of each."""
    from headstart import recipe
    from headstart.tables import recipes_table

    OUT.print(recipes_table([recipe.load(name) for name in recipe.shipped()]))


@recipe_app.command("show")
def recipe_show(name: Annotated[str, typer.Argument(metavar="RECIPE")]) -> None:
    """Print a recipe, with its comments."""
    from headstart import recipe

    sys.stdout.write(recipe.source(name))


@recipe_app.command("cp")
def recipe_cp(
    name: Annotated[str, typer.Argument(metavar="RECIPE")], file: Annotated[Path, typer.Argument(metavar="FILE")]
) -> None:
    """Copy a recipe to a file of your own, to change it there."""
    from headstart import recipe
    from headstart.run import write_atomically

    text = recipe.source(name)
    if file.exists():
        raise HeadstartError(f"{file}: expected a new file, found one that exists", "choose another name")
    write_atomically(file, text.encode())
    OUT.print(f"{file}: change it, then headstart fit {file} DATA", soft_wrap=True)


def _print_json(content: object) -> None:
    import json

    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from importlib.metadata import version as of

        OUT.print(of("headstart"))
        raise typer.Exit


def main() -> None:
    """The command line; a fault that the user can mend is one line on standard error and exit status 2."""
    OUT.quiet = os.environ.get("RANK", "0") != "0"  # of the processes that torchrun starts, the first speaks
    try:
        app()
    except HeadstartError as error:
        ERR.print(f"[bold red]error[/bold red] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(2)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
