"""``headstart evaluate``: metrics of a run on labeled images."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli.arguments import ERR, OUT, Data, RunArgument, Unfinished, print_json, say_at_once


def evaluate(
    run: RunArgument,
    data: Data,
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all. [dim]Default: test or val, without training images[/dim]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all metrics as JSON.")] = False,
    unfinished: Unfinished = False,
) -> None:
    """Evaluate a run on labeled images or image and mask pairs: all metrics, with 95 % confidence intervals.

    [bold]headstart evaluate runs/quick-photos new/[/bold] leaves out images that it was trained on.
    [bold]headstart evaluate runs/quick-photos new/ --json[/bold] prints them for a program.

    Classification: accuracy, F1, log loss, calibration. Segmentation: IoU per class, mIoU, Dice, pixel accuracy.
    """
    say_at_once(f"evaluate {run} on {data}")
    from headstart import api
    from headstart.console.progress import progress_bar
    from headstart.console.tables import mask_metrics_table, metrics_table
    from headstart.metrics.segmentation import SegmentationMetrics

    with progress_bar(ERR, "evaluate") as progress:
        evaluation = api.Run(run).evaluate(data, split=split, unfinished=unfinished, progress=progress)
    if evaluation.excluded:
        message = f"excluded {evaluation.excluded:,} images that {run} was trained on (--split all includes them)"
        ERR.print(message, markup=False, soft_wrap=True)
    metrics = evaluation.metrics
    if as_json:
        print_json({"split": evaluation.split, "excluded": evaluation.excluded, **metrics.to_json()})
    elif isinstance(metrics, SegmentationMetrics):
        OUT.print(mask_metrics_table(metrics, evaluation.split))
    else:
        OUT.print(metrics_table(metrics, evaluation.split))
