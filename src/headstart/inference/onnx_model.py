"""A classifier in an ONNX file that `headstart export` wrote, run by ONNX Runtime: no PyTorch is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.data.conversion import Conversion
from headstart.data.parallel import Progress
from headstart.environment import require_extra
from headstart.errors import HeadstartError, quoted
from headstart.files import Row
from headstart.inference.image_files import Paths, find_images
from headstart.inference.onnx_format import INPUT, PROBABILITIES, read_onnx
from headstart.inference.predict import Predictions, predict, predict_table
from headstart.recipes.recipe import Recipe, parse_complete
from headstart.runs import facts
from headstart.value_range import ValueRanges

MAX_BATCH, MAX_PIXELS = 32, 1 << 22
"""Images, and pixels of them, that the network is given at once: the graph resizes in float64, 24 bytes a pixel."""


class OnnxModel:
    """A classifier in an ONNX file, which predicts as the run that it was exported from.

    ``OnnxModel("model.onnx").predict("photos/")`` decodes and resizes images as the run does, and needs the package
    onnxruntime (extra ``export``). Raises HeadstartError for a file that `headstart export` did not write, one that was
    changed since, and one that predicts no classes.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.path = Path(file)
        content, found = read_onnx(self.path)
        self._require_classifier(found["task"])
        hint = f"headstart export RUN {quoted(self.path)} --overwrite"
        self.recipe: Recipe = parse_complete(found["recipe"], str(self.path), hint)
        self.classes, ranges = _classes_and_ranges(self.path, found, hint)
        """Class names, in the order of the network's outputs."""
        self.conversion = Conversion(ranges, self.recipe.data.bands, self.recipe.data.max_pixels)
        require_extra("export", ("onnxruntime",))
        self._session = self._start(content)

    @property
    def batch_size(self) -> int:
        """Images that are classified at once."""
        return max(1, min(MAX_BATCH, MAX_PIXELS // self.recipe.data.image_size**2))

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Softmax probabilities, float32 (B, C), of images of the network's size, uint8 (B, 3, S, S).

        The resize in the graph leaves images of this size as they are.
        """
        given = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        try:
            (outputs,) = self._session.run([PROBABILITIES], {INPUT: given})
        except Exception as error:
            raise self._not_run(error) from None
        if outputs.shape != (len(images), len(self.classes)) or outputs.dtype != np.float32:
            raise self._not_run(f"probabilities of shape {outputs.shape} for {len(self.classes)} classes")
        probabilities: NDArray[np.float32] = outputs
        return probabilities

    def predict(self, images: Paths, *, bare_names: bool = False, progress: Progress | None = None) -> Predictions:
        """Predict classes of files, folders or glob patterns, as `Run.predict` does.

        Unreadable files are skipped and listed in the result. ``bare_names`` calls the files by their names alone, each
        of which must then occur once; ``progress(done, total)`` counts images.
        """
        files = find_images(images)
        return predict(self, files.with_bare_names() if bare_names else files, progress=progress)

    def predict_table(
        self,
        table: str | os.PathLike[str],
        *,
        folder: str | os.PathLike[str],
        progress: Progress | None = None,
    ) -> tuple[list[Row], Predictions]:
        """Predict ``label`` for each ``filename`` (relative to ``folder``) of a CSV file: (rows, predictions)."""
        return predict_table(Path(table), self, folder=Path(folder), progress=progress)

    def _require_classifier(self, task: str) -> None:
        if task != "classify":
            found = "which predicts masks" if task == "segment" else f"whose task {task[:40]} has no classes to predict"
            raise HeadstartError(
                f"{self.path}: expected an exported classifier, found a network {found}",
                "headstart predict RUN IMAGES --out masks" if task == "segment" else "headstart fit quick DATA",
            )

    def _start(self, content: bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and said once
        # Threads that wait without spinning take no processor from decoding, nor from other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise self._not_run(error) from None
        inputs, outputs = ([each.name for each in some] for some in (session.get_inputs(), session.get_outputs()))
        if inputs != [INPUT] or PROBABILITIES not in outputs:
            raise self._not_run(f"inputs {', '.join(inputs)[:80]} and outputs {', '.join(outputs)[:80]}")
        return session

    def _not_run(self, why: object) -> HeadstartError:
        from importlib.metadata import version

        said = str(why).strip().splitlines() or [type(why).__name__]
        return HeadstartError(
            f"{self.path}: expected a classifier that ONNX Runtime {version('onnxruntime')} runs, found an error"
            f" ({said[0][:200]})",
            "pip install -U onnxruntime, or headstart predict RUN IMAGES",
        )


def _classes_and_ranges(file: Path, found: dict[str, str], hint: str) -> tuple[tuple[str, ...], ValueRanges]:
    """The names of the classes, and which deep values became 0 and 255. Raises HeadstartError where these are none."""
    text = f'{{"root": "", "classes": {found["classes"]}, "ranges": {found.get("ranges", "{}")}}}'
    try:
        data = facts.parse(text.encode(), facts.Data)
    except ValueError as error:
        said = str(error)[:200]
        raise HeadstartError(f"{file}: metadata: expected classes and ranges, found others ({said})", hint) from None
    if not data["classes"]:
        raise HeadstartError(f"{file}: metadata classes: expected names of classes, found none", hint)
    return tuple(data["classes"]), ValueRanges.from_json(data.get("ranges", {}))
