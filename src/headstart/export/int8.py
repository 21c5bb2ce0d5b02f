"""INT8: an ONNX model with its convolutions in 8 bits, and what that costs and gains on the run's own images."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.export.images import Bytes, RunImages, decoded
from headstart.export.onnx_file import forward_of, session_of
from headstart.inference.model import Model
from headstart.inference.onnx_format import INPUT
from headstart.metrics.bootstrap import Interval, bootstrap_mean

CALIBRATION_IMAGES = 100
"""Training images from which the ranges of the activations are taken."""
MAX_TIMED = 50
REPEATS = 5
"""Times that each image is timed with either model, in turn; the shortest counts."""


@dataclass(frozen=True)
class Int8:
    """The loss and the gain of 8 bits, measured on validation images."""

    images: int
    accuracy: float
    """Of the 8-bit model, 0 to 1."""
    loss: Interval
    """Accuracy in float32 minus that in 8 bits, in points of 0 to 1, with its 95 % interval over images."""
    speedup: Interval
    """Time of an image in float32 over that in 8 bits: the geometric mean over images, with its interval."""
    bytes_before: int
    bytes_after: int

    def to_json(self) -> dict[str, object]:
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "accuracy_loss": [self.loss.value, self.loss.low, self.loss.high],
            "speedup": [self.speedup.value, self.speedup.low, self.speedup.high],
        }


def quantize(content: bytes, model: Model, images: RunImages) -> bytes:
    """The model with convolutions and linear layers in 8 bits, the ranges taken from ``images`` (training images)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Batches of one image, as ONNX Runtime asks for them."""

        def __init__(self) -> None:
            self.left = _decoded(model, images.some(CALIBRATION_IMAGES))

        def get_next(self) -> dict[str, Bytes] | None:
            return next(({INPUT: image[None]} for image, _ in self.left), None)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger().addFilter(_silent)
        whole, small = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        whole.write_bytes(content)
        try:
            quantize_static(
                whole,
                small,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Gemm"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
            )
        finally:
            logging.getLogger().removeFilter(_silent)
        return small.read_bytes()


def measure(before: bytes, after: bytes, model: Model, images: RunImages) -> Int8:
    """Accuracy and time per image of both models, on validation images with labels; one thread."""
    sessions = [session_of(content, threads=1) for content in (before, after)]
    forwards = [forward_of(session) for session in sessions]
    correct: list[list[int]] = []
    ratios: list[float] = []
    for image, label in _decoded(model, images):
        correct.append([int(forward(image[None])[0].argmax() == label) for forward in forwards])
        if len(ratios) < MAX_TIMED:
            first, second = _times(sessions, image)
            ratios.append(float(np.log(first / second)))
    found = np.array(correct)
    gain = bootstrap_mean(np.array(ratios))
    speedup = Interval(*(float(np.exp(each)) for each in (gain.value, gain.low, gain.high)))
    loss = bootstrap_mean(found[:, 0] - found[:, 1])
    return Int8(len(found), float(found[:, 1].mean()), loss, speedup, len(before), len(after))


def _times(sessions: list[Any], image: Bytes) -> list[float]:
    """Seconds that each session takes for one image: the shortest of some, taken in turn."""
    shortest = [float("inf")] * len(sessions)
    for _ in range(REPEATS):
        for number, session in enumerate(sessions):
            began = time.perf_counter()
            session.run(None, {INPUT: image[None]})
            shortest[number] = min(shortest[number], time.perf_counter() - began)
    return shortest


def _decoded(model: Model, images: RunImages) -> Iterator[tuple[Bytes, int]]:
    for file, label in zip(images.files, images.labels, strict=True):
        image = decoded(model, file)
        if image is not None:
            yield image, label


def _silent(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
