"""All measures of a run on labeled images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.cli.arguments import ERR, OUT, Data, RunArgument, Unfinished, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headstart.inference.evaluate_masks import MaskEvaluation
    from headstart.inference.predict import Evaluation, Progress
    from headstart.runs.folder import RunFolder


def evaluate(
    run: RunArgument,
    data: Data,
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all. [dim]Default: what was not trained on[/dim]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all measures as JSON, for programs.")] = False,
    unfinished: Unfinished = False,
) -> None:
    """All measures of a run on labeled images, or on pairs of image and mask, with their 95 % bootstrap intervals."""
    from headstart.console.progress import bar
    from headstart.runs.folder import RunFolder

    folder = RunFolder.open(run)
    judge = _judge_labels if folder.palette is None else _judge_masks
    with bar(ERR, "look at images") as progress:
        answer, measures, shown = judge(folder, data, split, unfinished, progress)
    if answer.excluded:
        said = (
            f"left out {answer.excluded:,} images that {folder.path} was trained on (--split {answer.split} keeps them)"
        )
        ERR.print(said, markup=False, soft_wrap=True)
    if as_json:
        print_json({"split": answer.split, "left_out": answer.excluded, **measures})
    else:
        OUT.print(shown)


def _judge_labels(
    folder: RunFolder, data: str, split: str | None, unfinished: bool, progress: Progress
) -> tuple[Evaluation, dict[str, Any], RenderableType]:
    from headstart.console.tables import measures_table
    from headstart.inference.predict import evaluate, load
    from headstart.metrics.classification import classification_metrics

    answer = evaluate(load(folder, unfinished), folder, data, split, progress)
    measures = classification_metrics(answer.labels, answer.probabilities, folder.classes)
    return answer, measures.to_json(), measures_table(measures, answer.split)


def _judge_masks(
    folder: RunFolder, data: str, split: str | None, unfinished: bool, progress: Progress
) -> tuple[MaskEvaluation, dict[str, Any], RenderableType]:
    from headstart.console.tables import mask_measures_table
    from headstart.inference.evaluate_masks import evaluate_masks
    from headstart.inference.predict import load
    from headstart.metrics.segmentation import segmentation_metrics

    answer = evaluate_masks(load(folder, unfinished), folder, data, split, progress)
    measures = segmentation_metrics(answer.confusion, folder.classes)
    return answer, measures.to_json(), mask_measures_table(measures, answer.split)
