"""Decode files for a single pass, in batches and one batch ahead of their use. No torch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.conversion import Conversion
from headstart.data.decode import Resize, Unreadable, read, resize_to_square
from headstart.data.memory import decoding


def stream(
    files: Sequence[Path], size: int, resize: Resize, batch: int, conversion: Conversion | None = None
) -> Iterator[tuple[list[int], NDArray[np.uint8], list[tuple[int, str]]]]:
    """Decode files for a single pass, in batches and one batch ahead of their use.

    Yields (positions in ``files``, their pixels as uint8 (B, 3, size, size), (position, reason) of unreadable ones).
    The pixels equal those of `decode` with this ``conversion``, bit for bit.
    """

    def one(position: int) -> NDArray[np.uint8] | str:
        try:
            with decoding():
                picture = read(files[position], enough_for=size, conversion=conversion)
                return resize_to_square(picture.rgb, size, resize)
        except Unreadable as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ahead: deque[tuple[int, Future[NDArray[np.uint8] | str]]] = deque()
        waiting = iter(range(len(files)))
        while True:
            for position in waiting:
                ahead.append((position, threads.submit(one, position)))
                if len(ahead) >= 2 * batch:
                    break
            if not ahead:
                return
            done = [ahead.popleft() for _ in range(min(batch, len(ahead)))]
            results = [(position, future.result()) for position, future in done]
            good = [(position, result) for position, result in results if not isinstance(result, str)]
            bad = [(position, result) for position, result in results if isinstance(result, str)]
            pixels = np.stack([result for _, result in good]) if good else np.empty((0, 3, size, size), np.uint8)
            yield [position for position, _ in good], pixels, bad
