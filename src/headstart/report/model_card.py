"""The model card of a run: run folder -> `MODEL_CARD.md`, with the front matter that the Hugging Face hub reads.

The same for the same run: no time, no path, no name of a machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.analysis.limits import limits
from headstart.analysis.result import result_sentences
from headstart.metrics.classification import classification_metrics
from headstart.metrics.segmentation import segmentation_metrics
from headstart.recipes.recipe import Backbone
from headstart.runs.commands import predict_command
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.runs.training_images import read_groups

NAME = "MODEL_CARD.md"


def write_model_card(run: RunFolder) -> None:
    """Write ``MODEL_CARD.md`` into the folder of a trained run, from nothing but the folder's own files."""
    run.write(NAME, model_card(run).encode("utf-8", "replace"))


def model_card(run: RunFolder) -> str:
    """The card as Markdown: use, data, result, limits, and how to train it again."""
    recipe, data, environment = run.recipe, run.data, run.environment
    weights = environment.get("weights", {})
    source = weights.get("source", "nothing (random)") if isinstance(weights, dict) else str(weights)
    masks = run.palette is not None
    counts = data.get("images", {})
    images = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    use = [
        "pip install headstart",
        predict_command(Path("THIS_FOLDER"), masks),
        "headstart evaluate THIS_FOLDER LABELED_IMAGES",
    ]
    classes = ", ".join(_text(name) for name in run.classes[:100])
    more = f" and {len(run.classes) - 100} more" if len(run.classes) > 100 else ""
    lines = [
        *_front_matter(run, str(source)),
        f"# {_text(recipe.name)}",
        "",
        f"{recipe.backbone.name}, trained with headstart {environment.get('headstart', '')} to"
        f" {'segment images' if masks else 'classify images'}. Classes: {classes}{more}.",
        "",
        "## Use",
        "",
        *(f"    {line}" for line in use),
        "",
        "## Result",
        "",
        *(f"- {_text(sentence)}" for sentence in result_sentences(run)),
        "",
        "## Data and weights",
        "",
        f"- Images: {images}. Fingerprint of the images and labels: `{data.get('fingerprint', '')}`.",
        f"- The validation split was {'made by headstart' if data.get('split_made') else 'given'}.",
        f"- The backbone began from {_text(source)}; {_trained_text(recipe.backbone)} trained.",
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in _limits(run)),
        "",
        "## Train it again",
        "",
        "    headstart fit THIS_FOLDER/recipe.toml DATA",
        "",
        "The same images, versions (`environment.json`) and number of threads give the same weights on a CPU.",
    ]
    return "\n".join(lines) + "\n"


def _front_matter(run: RunFolder, source: str) -> list[str]:
    """YAML between two lines of dashes; every text is JSON, which is YAML."""
    values = [
        {"type": name, "name": f"{name} (95 % CI {low:.4f} to {high:.4f})", "value": round(value, 4)}
        for name, (value, low, high) in _metrics(run).items()
    ]
    task = "image-segmentation" if run.palette is not None else "image-classification"
    result: dict[str, Any] = {
        "task": {"type": task},
        "dataset": {"type": "private", "name": str(run.data.get("fingerprint", ""))},
        "metrics": values,
    }
    index = [{"name": run.recipe.name, "results": [result]}]
    backbone = run.recipe.backbone.name
    return [
        "---",
        "library_name: headstart",
        f"pipeline_tag: {task}",
        *([f"base_model: {json.dumps(f'timm/{backbone}')}"] if "imagenet" in source else ()),
        f"model-index: {json.dumps(index)}",
        "---",
        "",
    ]


def _metrics(run: RunFolder) -> dict[str, tuple[float, float, float]]:
    confusions, predictions = read_mask_confusions(run), read_predictions(run)
    if confusions is not None:
        groups = read_groups(run, confusions.filenames)
        found = segmentation_metrics(confusions.confusion, run.classes, groups=groups).miou
        return {"mean_iou": (found.value, found.low, found.high)}
    if predictions is None:
        return {}
    groups = read_groups(run, predictions.filenames)
    accuracy = classification_metrics(
        predictions.labels, predictions.probabilities, run.classes, groups=groups
    ).accuracy
    return {"accuracy": (accuracy.value, accuracy.low, accuracy.high)}


def _limits(run: RunFolder) -> list[str]:
    """Where the run must not be trusted, by its own numbers and by what any such model cannot know."""
    return [
        *map(_text, limits(run)),
        "It knows no other class: an image of something else is called one of these.",
        "The interval is for images of the same kind as the validation images.",
    ]


def _trained_text(backbone: Backbone) -> str:
    if backbone.freeze:
        return "only the head was"
    stages, statistics = backbone.freeze_stages, backbone.freeze_batchnorm
    kept = [f"its first layers ({stages} stages)"] if stages else []
    kept += ["the statistics of its batch normalization"] if statistics else []
    return f"all but {' and '.join(kept)} were" if kept else "all of it was"


def _text(value: object) -> str:
    """On one line, and without what Markdown and HTML would read as their own."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in " ".join(str(value).split()))
