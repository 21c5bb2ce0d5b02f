"""What a study was asked for when its folder was begun: who calls again must ask for the same.

recipe.toml, pretraining.toml   what is carried out; a budget may have shortened them
asked.toml                      both as they were asked for, and the other folders of images
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import tomli_w

from headstart.errors import HeadstartError
from headstart.recipes import recipe as recipes
from headstart.studies.plan import Plan

RECIPES = ("recipe", "pretraining")
FOLDERS = ("unlabeled", "corpus")
MAX_DIFFERENCES = 6
"""Differences that an error names; it counts the rest."""


def files(plan: Plan) -> dict[str, str]:
    """What is written into the folder of a study that begins, by the names of the files."""
    return {
        "recipe.toml": plan.recipe.to_toml(),
        "pretraining.toml": plan.pretraining.to_toml(),
        "asked.toml": tomli_w.dumps({name: value for name, value in _requested(plan).items() if value is not None}),
    }


def exists(plan: Plan) -> bool:
    """Whether the plan's folder holds a study."""
    return (plan.out / "study.json").is_file()


def load_existing(plan: Plan) -> Plan:
    """``plan`` with the recipes that its folder was begun with, which a budget may have shortened.

    Raises HeadstartError, naming what differs, when something else was asked for when it was begun.
    """
    if not exists(plan):
        return plan
    recipe, pretraining = (recipes.load(str(plan.out / f"{name}.toml")) for name in RECIPES)
    kept = replace(
        plan, recipe=recipe, pretraining=pretraining, requested=plan.requested or (plan.recipe, plan.pretraining)
    )
    before, now = dict(_leaves(_asked_before(plan, kept))), dict(_leaves(_requested(plan)))
    differ = [
        f"{name.removeprefix('recipe.')}: {_said(before.get(name))} in the folder, {_said(now.get(name))} asked for"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if differ:
        more = f" and {len(differ) - MAX_DIFFERENCES} more" if len(differ) > MAX_DIFFERENCES else ""
        raise HeadstartError(
            f"{plan.out}: expected what the study that it holds was asked for, found another"
            f" ({'; '.join(differ[:MAX_DIFFERENCES])}{more})",
            "choose another --out",
        )
    return kept


def _requested(plan: Plan) -> dict[str, Any]:
    requested = dict(zip(RECIPES, plan.requested or (plan.recipe, plan.pretraining), strict=True))
    folders = {name: getattr(plan, name) for name in FOLDERS}
    return folders | {name: recipe.model_dump(exclude_none=True) for name, recipe in requested.items()}


def _asked_before(plan: Plan, kept: Plan) -> dict[str, Any]:
    """What was asked for when the folder was begun."""
    file = plan.out / "asked.toml"
    if file.is_file():
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
        requested = {name: recipes.build(fields[name], where=str(file)) for name in RECIPES}
        return fields | {name: recipe.model_dump(exclude_none=True) for name, recipe in requested.items()}
    # A folder of an earlier headstart does not say: whatever a budget changes passes.
    passes = [
        was.model_copy(update={"train": now.train, "augment": now.augment, "analysis": now.analysis})
        for was, now in ((kept.recipe, plan.recipe), (kept.pretraining, plan.pretraining))
    ]
    return _requested(replace(plan, requested=(passes[0], passes[1])))


def _leaves(fields: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested tables, by dotted names."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _said(value: Any) -> str:
    return "none" if value is None else str(list(value) if isinstance(value, tuple) else value)
