"""``headstart export``: a file of the network for ONNX Runtime, timm or PyTorch, checked as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cli.arguments import ERR, OUT, RunArgument, Unfinished, say_at_once

if TYPE_CHECKING:
    from headstart.data.parallel import Progress
    from headstart.export.export import Exported
    from headstart.export.int8 import Int8
    from headstart.export.parity import Parity


def export(
    run: RunArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write: model.onnx, model.safetensors or model.pt2.")
    ],
    to: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="onnx, timm or torch. [dim]Default: by the name of FILE[/dim]")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Calculate in 8 bits (ONNX, classifiers), and measure loss and gain.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Where the run's images are now, if they have moved.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "--force", help="Replace FILE if it exists.")] = False,
    unfinished: Unfinished = False,
) -> None:
    """Export a run for other programs, and check there that it predicts as [bold]headstart predict[/bold] does.

    [bold]headstart export runs/quick-photos model.onnx[/bold]: pixels in, predictions out, all preprocessing inside.
    [bold]headstart export runs/quick-photos model.safetensors[/bold]: weights for timm.create_model.

    model.pt2 is for torch.export.load, model.onnx needs pip install 'headstart\\[export]'. Up to 200 validation images
    are predicted both ways; unless the results agree, nothing is written.
    """
    say_at_once(f"export   {run}")
    from headstart import api

    with _shown_progress() as progress:
        exported = api.Run(run).export(
            file,
            to=to,  # type: ignore[arg-type]  # what is none of them is refused there, with a hint
            int8=int8,
            data=data,
            overwrite=overwrite,
            unfinished=unfinished,
            progress=progress,
        )
    _print(exported)


@contextmanager
def _shown_progress() -> Iterator[Progress]:
    """A spinner while the file is written; from the first image that is compared on a bar, whose time begins then."""
    from headstart.console.progress import progress_bar
    from headstart.console.streams import spinner

    with ExitStack() as bar, ExitStack() as before:
        before.enter_context(ERR.status("write the network", spinner=spinner(ERR)))
        shown: list[Progress] = []

        def progress(done: int, total: int) -> None:
            if not shown:
                before.close()
                shown.append(bar.enter_context(progress_bar(ERR, "compare predictions")))
            shown[0](done, total)

        yield progress


def _print(exported: Exported) -> None:
    size = exported.path.stat().st_size / 1e6
    lines = [f"written  {exported.path} ({exported.format}, {size:.1f} MB)"]
    lines += [f"outputs  {', '.join(exported.outputs)}"]
    lines += [
        f"{'parity' if number == 0 else '':8} {_sentence(each, exported.outputs)}"
        for number, each in enumerate(exported.parity)
    ]
    if exported.int8 is not None:
        lines += [f"int8     {_loss(exported.int8)}", f"         {_gain(exported.int8)}"]
    lines += [f"use it   {exported.usage}"]
    OUT.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _sentence(parity: Parity, outputs: tuple[str, ...]) -> str:
    of = "pixels" if parity.compared > parity.images else "images"
    equal = "features" if outputs == ("features",) else "top-1"
    return (
        f"against {parity.against}, on {parity.images:,} validation images: largest difference {parity.largest:.1e},"
        f" equal {equal} in {parity.equal:,} of {parity.compared:,} {of}"
    )


def _loss(int8: Int8) -> str:
    loss = int8.loss
    return (
        f"accuracy {int8.accuracy:.2%} on {int8.images:,} validation images, a loss of {100 * loss.value:.1f} points"
        f" (95 % CI {100 * loss.low:.1f} to {100 * loss.high:.1f})"
    )


def _gain(int8: Int8) -> str:
    gain = int8.speedup
    return (
        f"{gain.value:.2f} times as fast per image on one core of this machine (95 % CI {gain.low:.2f} to"
        f" {gain.high:.2f}), {int8.bytes_after / int8.bytes_before:.0%} of the size"
    )
