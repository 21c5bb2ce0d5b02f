"""Export a run: write the file, compare it with our own predictions, and only then give it its name."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from headstart.data.parallel import Progress
from headstart.environment import require_extra
from headstart.errors import HeadstartError, did_you_mean, quoted
from headstart.export.facts import facts_of
from headstart.export.images import MAX_CHECKED, RunImages, images_of
from headstart.export.int8 import Int8
from headstart.export.parity import TOLERANCE, Forward, Parity, check
from headstart.files import require_place, write_atomically
from headstart.inference.model import Model, load_network
from headstart.runs.folder import RunFolder

Format = Literal["onnx", "timm", "torch"]
SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".safetensors": "timm", ".pt2": "torch"}
EXTRA = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it was checked."""

    path: Path
    format: Format
    outputs: tuple[str, ...]
    """What the network gives, in order."""
    parity: tuple[Parity, ...]
    """The first one holds; others say more (`parity.check`)."""
    int8: Int8 | None = None
    usage: str = ""
    """Python that loads it."""


@dataclass(frozen=True)
class _Written:
    """The content of a file before it is checked, and how to run it."""

    content: bytes
    outputs: tuple[str, ...]
    forward: Forward
    usage: str


def export(
    run: RunFolder,
    out: str | os.PathLike[str],
    *,
    to: str | None = None,
    int8: bool = False,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    unfinished: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write a run's network to the file ``out`` for other programs, checked against our own predictions.

    ``to`` is `onnx`, `timm` or `torch`; by default the suffix says it. ``int8`` has ONNX Runtime calculate in 8 bits,
    and measures what that loses and gains. The check takes up to 200 of the run's validation images, in the folder that
    it was trained on or in ``data``; ``progress(done, total)`` counts them. Raises HeadstartError, with nothing
    written, for a file that exists (unless ``overwrite``), for a missing library, and where the outputs are not those
    of `predict`.
    """
    path = Path(out)
    kind = _format_of(path, to)
    _require_free(run, path, overwrite)
    if kind == "onnx":
        require_extra("export", EXTRA)
    model = load_network(run, unfinished=unfinished)
    _require_int8(run, model, kind, int8)
    images = images_of(run, "val", data).some(MAX_CHECKED)
    facts = facts_of(run, model.classes if model.task.target != "none" else ())
    with _written(model, run, path, kind, facts) as written:
        parity = check(model, images, written.forward, progress)
        _require_parity(run, parity[0], kind)
        facts["parity"] = json.dumps([each.to_json() for each in parity])
        content, measured = written.content, None
        if int8:
            content, measured = _quantized(run, content, model, images, data)
            facts["int8"] = json.dumps(measured.to_json())
        if kind == "onnx":
            from headstart.export.onnx_file import with_facts

            content = with_facts(content, facts)
        write_atomically(path, content)
    return Exported(path, kind, written.outputs, tuple(parity), measured, written.usage)


def _format_of(path: Path, to: str | None) -> Format:
    known = sorted(SUFFIXES.values())
    if to is not None:
        named = next((each for each in SUFFIXES.values() if each == to), None)
        if named is None:
            raise HeadstartError(
                f"export --to {to}: expected {', '.join(known)}, found another format; {did_you_mean(to, known)}",
                "--to onnx",
            )
        if (other := SUFFIXES.get(path.suffix.lower(), named)) != named:
            ending = next(suffix for suffix, kind in SUFFIXES.items() if kind == named)
            raise HeadstartError(
                f"export --to {to}: expected a file name of this format, found {path}, whose ending is that of {other}",
                f"{path.with_suffix(ending)}, or --to {other}",
            )
        return named
    if path.suffix.lower() not in SUFFIXES:
        raise HeadstartError(
            f"{path}: expected a file name that ends in {', '.join(SUFFIXES)}, or --to with one of"
            f" {', '.join(known)}, found neither",
            "--to onnx",
        )
    return SUFFIXES[path.suffix.lower()]


def _require_free(run: RunFolder, path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise HeadstartError(f"{path}: expected a file to write, found a folder", f"{path / 'model.onnx'}")
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(run.path)):
        raise HeadstartError(
            f"{path}: expected a place outside the run, whose files headstart reads, found it in {run.path}",
            path.name,
        )
    if os.path.lexists(path) and not overwrite:
        raise HeadstartError(f"{path}: expected a new file, found one", "choose another FILE, or add --overwrite")
    require_place(path)


def _require_int8(run: RunFolder, model: Model, kind: Format, int8: bool) -> None:
    if int8 and (kind != "onnx" or model.task.target != "label"):
        found = f"--to {kind}" if kind != "onnx" else f"{run.path}, whose task is {model.recipe.task}"
        raise HeadstartError(f"export --int8: expected a classifier as ONNX, found {found}", "the same without --int8")


@contextmanager
def _written(model: Model, run: RunFolder, path: Path, kind: Format, facts: dict[str, str]) -> Iterator[_Written]:
    """The content of the file, and the function that runs it from there."""
    from headstart.export.network import outputs_of, whole_network

    outputs = outputs_of(model.task)
    if kind == "timm":
        from headstart.export import timm_file

        content = timm_file.to_timm(model, run, facts)
        with tempfile.TemporaryDirectory() as folder:
            there = Path(folder, "weights.safetensors")
            there.write_bytes(content)
            given = ("logits",) if model.task.target != "none" else outputs
            usage = timm_file.create_command(model, path)
            yield _Written(content, given, timm_file.forward_of(model, there), usage)
        return
    network = whole_network(replace(model, task=copy.deepcopy(model.task)))
    if kind == "torch":
        from headstart.export import torch_file

        content = torch_file.to_torch(network, facts)
        usage = f"torch.export.load({str(path)!r}).module()"
        yield _Written(content, outputs, torch_file.forward_of(content, outputs), usage)
        return
    from headstart.export import onnx_file

    content = onnx_file.to_onnx(network, outputs)
    usage = f"onnxruntime.InferenceSession({str(path)!r})"
    yield _Written(content, outputs, onnx_file.forward_of(onnx_file.session_of(content)), usage)


def _require_parity(run: RunFolder, parity: Parity, kind: Format) -> None:
    if not parity.holds:
        raise HeadstartError(
            f"export --to {kind}: expected the predictions of {run.path} within {TOLERANCE}, found others: largest"
            f" difference {parity.largest:.2g}, equal top-1 {parity.equal:,} of {parity.compared:,};"
            " nothing is written",
            f"another format, or headstart predict {quoted(run.path)} IMAGES",
        )


def _quantized(
    run: RunFolder, content: bytes, model: Model, images: RunImages, data: str | os.PathLike[str] | None
) -> tuple[bytes, Int8]:
    from headstart.export.int8 import measure, quantize

    small = quantize(content, model, images_of(run, "train", data))
    return small, measure(content, small, model, images)
