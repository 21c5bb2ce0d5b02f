"""What a run folder holds before the first step: written when the run is made, and again where it is missing."""

from __future__ import annotations

from typing import Any

from headstart.runs import lifecycle
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import seen_by, write_groups, write_held_out, write_trained_on
from headstart.training.architecture import architecture
from headstart.training.provenance import describe_data, describe_environment
from headstart.training.state import TrainState


def create_run(training: TrainState, provenance: dict[str, Any]) -> None:
    """Create the run folder, in one step, with all that is known before the first step of the training."""
    fabric = training.fabric
    environment = {**describe_environment(fabric.device), "processes": fabric.world_size, "weights": provenance}
    counts = {"images_trained_on": len(training.train_rows)}  # fewer than the training split, with a label fraction
    if training.excluded is not None:
        counts["left_out"] = training.excluded
    if seen := _validated_and_seen(training):
        counts["val_seen_by_weights"] = seen
    facts = {**describe_data(training.pixels), **counts}

    def write_rest(run: RunFolder) -> None:
        _write_rest(training)
        lifecycle.mark_unfinished(run.path)

    RunFolder.create(training.run.path, training.recipe, environment, facts, write_rest)


def _validated_and_seen(training: TrainState) -> int:
    """How many validation images the run that the weights come from was trained on; 0 without labels to recall."""
    pixels = training.pixels
    if training.task.target == "none":
        return 0
    held_out = (pixels.contents[row] for row in pixels.index.positions("val"))
    return seen_by(training.recipe.backbone.weights, held_out) or 0


def missing_at_start(run: RunFolder) -> list[str]:
    """Names of what `create_run` writes beside recipe, environment and data, and is not there."""
    names = ["trained_on.txt", "architecture.json", "features/images.csv"]
    if run.data.get("split_made"):
        names.append("held_out.json")
    if run.recipe.analysis.save_images:
        names.append("thumbnails.zip")
        if run.palette is not None:
            names += ["masks/images", "masks/truth"]
    return [name for name in names if not (run.path / name).exists()]


def write_missing(training: TrainState) -> None:
    """Finish what `create_run` began: write again what is missing, and remove its mark of a folder being made."""
    if training.fabric.is_global_zero:
        if missing_at_start(training.run):
            _write_rest(training)
        lifecycle.born(training.run.path)


def _write_rest(training: TrainState) -> None:
    run, pixels = training.run, training.pixels
    write_trained_on(run, [pixels.contents[row] for row in training.train_rows])
    if pixels.index.split_made:
        rows = zip(pixels.index.paths, pixels.index.splits, strict=True)
        write_held_out(run, {path: split for path, split in rows if split != "train"})
    index = pixels.index
    groups = {index.paths[row]: index.groups[row] for row in index.positions("val")}
    if any(groups.values()):
        write_groups(run, groups)
    for recorder in training.recorders:
        recorder.at_start(training)
    run.write_json("architecture.json", architecture(training.task, training.recipe.data.image_size))
