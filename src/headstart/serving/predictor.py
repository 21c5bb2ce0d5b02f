"""From the bytes of uploaded files to predictions: the same pixels and network as `headstart predict`."""

from __future__ import annotations

import asyncio
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.data.decode import read_upload, resize_to_square
from headstart.data.masks.codec import mask_bytes
from headstart.data.open_image import pixels_in_header
from headstart.data.unreadable import Unreadable
from headstart.inference.model import Model
from headstart.inference.segment import make_predict_fn
from headstart.inference.tiling import Tiling, predict_tiled
from headstart.serving.batching import Batcher
from headstart.serving.limits import Limits

Answer = dict[str, Any]
LARGE = 20_000_000
"""Pixels above which an image is a large one: more than most cameras take, a second or more of work."""


@dataclass(frozen=True)
class Mask:
    """A predicted mask."""

    classes: NDArray[np.uint8]
    """(H, W): positions in the palette's names."""
    png: bytes
    """In the format of the training masks."""
    seconds: float
    """That it took."""


class Predictor:
    """Predicts uploaded images: labels in batches over requests, masks one image after the other."""

    def __init__(self, model: Model, limits: Limits) -> None:
        most = min(limits.max_pixels, model.conversion.max_pixels)
        self.model = replace(model, conversion=replace(model.conversion, max_pixels=most))
        self.limits = limits
        self.batcher = Batcher(self.model.probabilities, model.recipe.val.batch_size)
        self.large = ThreadPoolExecutor(1, "large")
        """Decodes large images one after the other: small ones do not wait behind them."""

    async def stop(self) -> None:
        """End after the images that are decoded and predicted now."""
        self.large.shutdown(wait=False, cancel_futures=True)
        await self.batcher.stop()

    def refuses(self, waiting: int, more: int) -> bool:
        """Whether ``more`` images would have to wait too long, or be too many, behind those that wait."""
        expected = (waiting + more) * self.batcher.pace
        return waiting + more > self.limits.max_waiting or (waiting > 0 and expected > self.limits.seconds)

    async def label(self, content: bytes) -> Answer:
        """Label, confidence and probabilities of an image. Raises Unreadable."""
        if await asyncio.to_thread(pixels_in_header, content) > LARGE:
            image = await asyncio.get_running_loop().run_in_executor(self.large, self._square, content)
        else:
            image = await asyncio.to_thread(self._square, content)
        probabilities = await self.batcher.submit(torch.from_numpy(image))
        best = int(probabilities.argmax())
        return {
            "label": self.model.classes[best],
            "confidence": round(float(probabilities[best]), 6),
            "probabilities": {
                name: round(float(p), 6) for name, p in zip(self.model.classes, probabilities, strict=True)
            },
        }

    async def mask(self, content: bytes) -> Mask:
        """The mask of an image. Raises Unreadable, and TimeoutError where the limit has passed."""
        deadline = time.monotonic() + self.limits.seconds
        loop = asyncio.get_running_loop()
        mask = await loop.run_in_executor(self.batcher.thread, self._mask, content, deadline)
        self.batcher.count(1, mask.seconds)
        return mask

    def describe(self, mask: Mask) -> Answer:
        """A mask as JSON: its size, the share of each class, and the PNG in base64."""
        assert self.model.palette is not None
        count = np.bincount(mask.classes.ravel(), minlength=len(self.model.palette.names))
        height, width = mask.classes.shape
        shares = (count / mask.classes.size).round(6).tolist()
        return {
            "height": height,
            "width": width,
            "shares": dict(zip(self.model.palette.names, shares, strict=False)),
            "mask_png": base64.b64encode(mask.png).decode(),
        }

    def _square(self, content: bytes) -> NDArray[np.uint8]:
        config = self.model.recipe.data
        picture = read_upload(content, config.image_size, self.model.conversion)
        return resize_to_square(picture.rgb, config.image_size, config.resize)

    def _mask(self, content: bytes, deadline: float) -> Mask:
        palette = self.model.palette
        assert palette is not None

        began = time.monotonic()

        def require_time(_: int) -> None:  # nobody waits any more, and others wait for this thread
            if time.monotonic() > deadline:
                raise TimeoutError

        require_time(0)
        pixels = np.array(read_upload(content, None, self.model.conversion).rgb)
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        bands = predict_tiled(
            lambda top, bottom: image[:, top:bottom],
            make_predict_fn(self.model),
            size=(image.shape[1], image.shape[2]),
            tiling=Tiling(),
            advance=require_time,
        )
        classes = np.concatenate([band.argmax(dim=0).to(torch.uint8).numpy() for _, band in bands])
        return Mask(classes, mask_bytes(classes, palette), time.monotonic() - began)


def reason(error: Unreadable) -> str:
    """Why an image was not predicted, as a client reads it."""
    return f"expected an image, found one that cannot be read: {error}"
