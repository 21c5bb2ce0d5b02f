"""What an exported file says about itself: classes, data, recipe, and how it was checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version

import PIL

from headstart.runs.folder import RunFolder


def facts_of(run: RunFolder, classes: Sequence[str]) -> dict[str, str]:
    """Facts about a run as text, JSON where they are lists: the metadata of an exported file.

    ``classes`` are those of the outputs, in their order.
    """
    recipe, environment = run.recipe, run.environment
    facts = {
        "headstart": version("headstart"),
        "task": recipe.task,
        "classes": json.dumps(list(classes), ensure_ascii=False),
        "fingerprint": str(run.data["fingerprint"]),
        "image_size": str(recipe.data.image_size),
        "resize": recipe.data.resize,
        "mean": json.dumps(recipe.augment.mean),
        "std": json.dumps(recipe.augment.std),
        "backbone": recipe.backbone.name,
        "weights": json.dumps(environment.get("weights", {}), ensure_ascii=False),
        "precision": recipe.train.precision,
        "pillow": PIL.__version__,
        "recipe": recipe.to_toml(),
    }
    if run.palette is not None:
        facts["palette"] = json.dumps(run.palette.to_json(), ensure_ascii=False)
    if ranges := run.data.get("ranges"):
        facts["ranges"] = json.dumps(ranges)
    return facts
