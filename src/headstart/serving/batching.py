"""Batching: images of concurrent requests go through the network together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Waiting = tuple[Tensor, asyncio.Future[Floats]]


class Batcher:
    """Runs one batch after the other, in one thread; a batch holds what has come in the meantime.

    An image that comes alone is predicted at once: nobody waits for a batch to fill. ``predict`` maps uint8
    (B, 3, S, S) to probabilities (B, C).
    """

    def __init__(self, predict: Callable[[Tensor], Floats], batch_size: int) -> None:
        self.predict, self.batch_size = predict, batch_size
        self.waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self.thread = ThreadPoolExecutor(1, "predict")
        self.batches, self.images = 0, 0
        self.pace = 0.0
        """Seconds that an image took lately, in batches as they came."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take images, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End after the batch that is in the network; what waits is never answered."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.thread.shutdown(wait=True, cancel_futures=True)

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    def count(self, images: int, seconds: float) -> None:
        """Count a batch of so many images that took so long."""
        self.pace = seconds / images if not self.batches else 0.8 * self.pace + 0.2 * seconds / images
        self.batches, self.images = self.batches + 1, self.images + images

    async def submit(self, pixels: Tensor) -> Floats:
        """Probabilities (C,) of one image, uint8 (3, S, S)."""
        future: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((pixels, future))
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self.waiting.get()]
            while len(batch) < self.batch_size and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            wanted = [(pixels, future) for pixels, future in batch if not future.done()]  # others have given up
            if not wanted:
                continue
            began = loop.time()
            try:
                images = torch.stack([pixels for pixels, _ in wanted])
                outputs = await loop.run_in_executor(self.thread, self.predict, images)
            except Exception as error:  # of this batch alone: the next one is tried
                for _, future in wanted:
                    if not future.done():
                        future.set_exception(error)
                continue
            self.count(len(wanted), loop.time() - began)
            for (_, future), each in zip(wanted, outputs, strict=True):
                if not future.done():
                    future.set_result(each)
