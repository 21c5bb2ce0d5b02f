"""All measures of a run on labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headstart.commands.terminal import ERR, OUT, Data, RunArgument, Unfinished, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headstart.judging import MaskEvaluation
    from headstart.predict import Counting, Evaluation
    from headstart.run import RunFolder


def evaluate(
    run: RunArgument,
    data: Data,
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
        print_json({"split": answer.split, "left_out": answer.left_out, **measures})
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
