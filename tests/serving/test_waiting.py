"""Who waits for whom in `headstart serve`: images of concurrent requests, and large ones."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from headstart.runs.folder import RunFolder

pytest.importorskip("uvicorn", reason="pip install -e .[serve]")
pytest.importorskip("fastapi", reason="pip install -e .[serve]")


def test_images_that_come_while_a_batch_is_predicted_are_the_next_batch() -> None:
    from headstart.serving.batching import Batcher

    begun, go_on = threading.Event(), threading.Event()

    def slowly(images: torch.Tensor) -> Any:
        begun.set()
        assert go_on.wait(60)
        return images.flatten(1).float().mean(dim=1, keepdim=True).numpy()

    async def ask() -> tuple[list[float], int]:
        batcher = Batcher(slowly, batch_size=4)
        batcher.start()
        asked = [asyncio.create_task(batcher.submit(torch.full((3, 2, 2), 0)))]
        await asyncio.to_thread(begun.wait)
        asked += [asyncio.create_task(batcher.submit(torch.full((3, 2, 2), value))) for value in range(1, 7)]
        await asyncio.sleep(0)
        go_on.set()
        answers = [float(each[0]) for each in await asyncio.gather(*asked)]
        await batcher.stop()
        return answers, batcher.batches

    assert asyncio.run(ask()) == ([0, 1, 2, 3, 4, 5, 6], 3)  # of 1, 4 and 2 images


def test_who_would_wait_too_long_is_refused_at_once(trained: tuple[Path, Path]) -> None:
    """A network that takes a second for an image, and a client that finds two images before its own."""
    from headstart.inference.model import load_model
    from headstart.serving.limits import Limits
    from headstart.serving.predictor import Predictor

    model = load_model(RunFolder.open(trained[0]))
    predictor = Predictor(model, Limits(seconds=2.5, max_waiting=5))
    assert not predictor.refuses(waiting=0, more=5)
    assert predictor.refuses(waiting=0, more=6)
    predictor.batcher.pace = 1.0
    assert not predictor.refuses(waiting=0, more=3)  # nobody is before it: it is tried
    assert not predictor.refuses(waiting=1, more=1)
    assert predictor.refuses(waiting=2, more=1)
    asyncio.run(predictor.stop())


def test_small_images_do_not_wait_behind_large_ones(trained: tuple[Path, Path]) -> None:
    from headstart.inference.model import load_model
    from headstart.serving.limits import Limits
    from headstart.serving.predictor import LARGE, Predictor

    content, photo = io.BytesIO(), next(trained[1].rglob("*.jpg"))
    Image.new("1", (5000, LARGE // 5000 + 1)).save(content, "PNG")
    go_on = threading.Event()

    async def ask() -> list[str]:
        predictor = Predictor(load_model(RunFolder.open(trained[0])), Limits())
        predictor.batcher.start()
        predictor.large.submit(go_on.wait, 60)
        large = [asyncio.create_task(predictor.label(content.getvalue())) for _ in range(2)]
        small = [(await predictor.label(photo.read_bytes()))["label"] for _ in range(3)]
        assert not any(each.done() for each in large)
        go_on.set()
        assert all("label" in each for each in await asyncio.gather(*large))
        await predictor.stop()
        return small

    assert len(set(asyncio.run(ask()))) == 1
