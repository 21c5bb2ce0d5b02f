"""The same recipe, data and seed give the same weights, bit for bit on the processor, whatever is in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from headstart.recipes.recipe import Recipe
from headstart.training.loop import train
from headstart.training.setup import start

TIMES = ("seconds", "images_per_second")


def result(run: hs.Run) -> dict[str, object]:
    """What must be equal: weights, features, and every figure but times."""
    files = {name: (run.path / "weights" / f"{name}.safetensors").read_bytes() for name in ("best", "last")}
    metrics = [{name: value for name, value in row.items() if name not in TIMES} for row in run.metrics]
    return {**files, "metrics": metrics, "predictions": run.folder.predictions}


def fit(recipe: Recipe, data: Path, out: Path) -> dict[str, object]:
    for _ in train(start(recipe, str(data), out)):
        pass
    return result(hs.Run(out))


@pytest.mark.parametrize("kind", ["small", "unlabeled", "masked"])
def test_with_a_cold_and_a_warm_cache(
    kind: str,
    photos_to_read: Path,
    small_tiles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    make: Callable[..., Recipe] = request.getfixturevalue(kind)
    more = {"data__image_size": 32, "decoder__name": "fcn32s"} if kind == "masked" else {}
    recipe, data = make(train__epochs=1, **more), small_tiles if kind == "masked" else photos_to_read
    found = []
    for number, cache in enumerate(("one", "one", "other")):  # cold, warm, cold
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / cache))
        found.append(fit(recipe, data, tmp_path / f"run-{number}"))
    assert found[0] == found[1] == found[2]
    if kind == "small":
        assert fit(make(train__epochs=1, seed=1), data, tmp_path / "seed")["last"] != found[0]["last"]


def test_the_settings_that_matter_are_recorded(trained: tuple[Path, Path]) -> None:
    environment = hs.Run(trained[0]).folder.environment
    for name in ("threads", "processes", "device", "cpu", "torch", "timm", "numpy", "pillow", "python"):
        assert environment[name], name
