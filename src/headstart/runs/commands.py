"""Commands to type next, about a run."""

from __future__ import annotations

from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder


def classifier_command(run: RunFolder) -> str:
    """The command that trains a classifier from the run's backbone, its images normalized as in that run."""
    recipe, default = run.recipe, recipes.load("quick").augment
    scales = {name: getattr(recipe.augment, name) for name in ("mean", "std")}
    differ = [
        f' "augment.{name}=[{",".join(f"{value:g}" for value in values)}]"'
        for name, values in scales.items()
        if values != getattr(default, name)
    ]
    return (
        f"headstart fit quick LABELED_DATA backbone.name={recipe.backbone.name} backbone.weights={run.path}"
        f"{''.join(differ)}"
    )
