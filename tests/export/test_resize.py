"""The resize inside an exported graph against Pillow itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.data.resize import resize_to_square
from headstart.export.resize import PillowResize
from pictures import picture


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_every_pixel_is_the_one_that_pillow_gives(resize: Literal["squash", "crop", "pad"]) -> None:
    """Up and down, of any shape: also where Pillow resizes columns before rows, and where pixels round to even."""
    random, whole = np.random.default_rng(0), picture("astronaut.png").convert("RGB")
    for _ in range(60):
        width, height, size = (int(each) for each in random.integers((4, 4, 8), (320, 320, 200)))
        left, top = (int(each) for each in random.integers(0, (512 - width, 512 - height)))
        image = whole.crop((left, top, left + width, top + height))
        if random.random() < 0.5:  # no photograph: the worst for rounding
            image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        pixels = torch.tensor(np.asarray(image)).permute(2, 0, 1).unsqueeze(0)
        ours = PillowResize(size, resize)(pixels)[0].numpy()
        assert np.array_equal(ours, resize_to_square(image, size, resize)), (width, height, size)
        again = PillowResize(size, resize)(torch.tensor(ours).unsqueeze(0))[0].numpy()
        assert np.array_equal(again, ours), "`OnnxModel` gives the graph images of its size, and relies on this"
