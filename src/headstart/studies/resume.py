"""Continuing a study: its folder holds what was requested when it started, and a second call must request the same.

recipe.toml, pretraining.toml   the recipes in use; a budget may have shortened them
scratch.toml                    that of the settings from random weights, where they have one of their own
requested.toml                  the first two as requested, name and settings of the third, other folders of images
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from headstart.comparison.study import BrokenStudyError, Study, read_study
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.files import rename_aside
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder
from headstart.studies.plan import Plan
from headstart.studies.requested import require_same_request
from headstart.tasks import task_named

STUDY = "study.json"
RECIPES = ("recipe", "pretraining")
SCRATCH = "scratch.toml"
FOLDERS = ("unlabeled", "corpus")


def files(plan: Plan) -> dict[str, str]:
    """The files of a new study's folder: name -> content."""
    requested = {name: value for name, value in _requested(plan).items() if value is not None}
    return {
        "recipe.toml": plan.recipe.to_toml(),
        "pretraining.toml": plan.pretraining.to_toml(),
        **({} if plan.scratch is None else {SCRATCH: plan.scratch.to_toml()}),
        "requested.toml": tomli_w.dumps(requested),
    }


def exists(plan: Plan) -> bool:
    """Whether the plan's folder holds a study."""
    begun = any((plan.out / name).is_dir() for name in ("trials", "tuning", "pretrained"))
    return os.path.lexists(plan.out / STUDY) or (begun and (plan.out / "requested.toml").is_file())


def require_free(plan: Plan) -> None:
    """Raise HeadstartError if the folder of a new study holds anything else."""
    ours = {*files(plan), SCRATCH, ".lock"}  # they come before study.json
    if plan.out.exists() and any(
        other.name not in ours and not other.name.endswith(".part") for other in plan.out.iterdir()
    ):
        raise HeadstartError(
            f"{plan.out}: expected a free folder for the study, found other files", "choose another --out"
        )


def stored_study(plan: Plan) -> tuple[Study | None, str]:
    """The study in the folder; None and the reason where its file is missing or damaged, as its runs remain."""
    try:
        return read_study(plan.out / STUDY), ""
    except BrokenStudyError as error:
        return None, error.message


def set_broken_aside(plan: Plan) -> None:
    """Rename a damaged study.json to the first free name of ``study.json.broken-1``, ..."""
    file = plan.out / STUDY
    if os.path.lexists(file) and stored_study(plan)[0] is None:
        rename_aside(file)


def load_existing(plan: Plan) -> Plan:
    """``plan`` with the recipes, and the grid and pre-trainings, in its folder, which a budget may have chosen.

    It is ``plan`` itself for a new folder, and has its label fractions and seeds where they are more than before.

    Raises HeadstartError, naming the differences, when the folder's study was requested otherwise.
    """
    if not exists(plan):
        return plan
    study, _ = stored_study(plan)  # raises for another format version, before its other files are read
    recipe, pretraining = (recipes.load(str(plan.out / f"{name}.toml")) for name in RECIPES)
    scratch = recipes.load(str(plan.out / SCRATCH)) if os.path.lexists(plan.out / SCRATCH) else None
    before, now = _requested_before(plan), _requested(plan)
    # Earlier versions trained all settings by one recipe, then A alone by its own, and name nothing here.
    before_all = {name: now[name] for name in ("scratch", "scratch_settings")} | before
    require_same_request(plan.out, "study", before_all, now, FOLDERS)
    requested = plan.requested or (plan.recipe, plan.pretraining)
    grid: dict[str, Any] = {} if study is None else {"tune_from": study.tuned_from}
    if study is not None and plan.requested is None:
        grid |= {
            name: getattr(study, name) for name in ("fractions", "seeds", "tuned", "pretrainings") if name in plan.free
        }
    grid["scratch_settings"] = before.get("scratch_settings", "A")
    return replace(plan, recipe=recipe, pretraining=pretraining, scratch=scratch, requested=requested, **grid)


def requested_pretraining(out: Path) -> Recipe | None:
    """The self-supervised recipe that the study in a folder was started with; None without one, or a readable one.

    Where none is named, a study goes on with it: an earlier version's default is another.
    """
    try:
        fields = tomllib.loads((out / "requested.toml").read_text(encoding="utf-8"))
        return recipes.build(fields["pretraining"], where=str(out / "requested.toml"))
    except (OSError, ValueError, KeyError, TypeError, HeadstartError):
        return None  # `load_existing` names what is wrong


def require_same_folders(plan: Plan, dataset: Dataset) -> None:
    """Raise HeadstartError if a pre-training in the study's folder was begun on other images than those requested.

    A study may be moved, and its images with it: their content counts, not their place. Without another place they are
    taken for what they were.
    """
    if not exists(plan):
        return
    before = _requested_before(plan)
    for kind, number in plan.all_pretrainings():
        recipe, data = plan.pretrain(kind, number)
        option = next((name for name in FOLDERS if getattr(plan, name) == data), None)
        if option is None or before.get(option) == data:
            continue
        try:
            found = RunFolder.open(plan.folder(kind, number)).data["fingerprint"]
        except (HeadstartError, KeyError, TypeError):
            continue  # it is trained anew
        fingerprint = dataset.open(data).pixels(recipe.data, task_named(recipe.task).target).fingerprint
        if found != fingerprint:
            raise HeadstartError(
                f"{plan.out}: expected the images that its pre-training saw ({option} {before.get(option)}), found"
                f" others in {data}",
                "choose another --out",
            )


def _requested(plan: Plan) -> dict[str, Any]:
    requested = dict(zip(RECIPES, plan.requested or (plan.recipe, plan.pretraining), strict=True))
    folders = {name: getattr(plan, name) for name in FOLDERS}
    scratch = {"scratch": plan.scratch.name if plan.scratch else "", "scratch_settings": plan.scratch_settings}
    return folders | scratch | {name: recipe.model_dump(exclude_none=True) for name, recipe in requested.items()}


def _requested_before(plan: Plan) -> dict[str, Any]:
    """What was requested when the study in the folder started."""
    file = plan.out / "requested.toml"
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HeadstartError(
            f"{file}: expected what the study was started with, found {error.strerror}", "choose another --out"
        ) from None
    except ValueError as error:
        raise HeadstartError(f"{file}: expected TOML, found {error}", "choose another --out") from None
    missing = [name for name in RECIPES if not isinstance(fields.get(name), dict)]
    if missing:
        raise HeadstartError(f"{file}: expected a table [{missing[0]}], found none", "choose another --out")
    requested = {name: recipes.build(fields[name], where=str(file)) for name in RECIPES}
    return fields | {name: recipe.model_dump(exclude_none=True) for name, recipe in requested.items()}


def contains(larger: Study, before: Study, name: str) -> bool:
    """Whether the trials of a study remain those of a larger one that differs from it in this field."""
    if name == "pretrainings":  # a seed keeps its own
        return larger.pretrainings == len(larger.seeds) and before.pretrainings == len(before.seeds)
    return name in ("fractions", "seeds") and set(getattr(before, name)) <= set(getattr(larger, name))
