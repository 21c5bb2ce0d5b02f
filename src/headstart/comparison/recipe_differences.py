"""What differs between the recipes, data and weights of compared runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.comparison.run_entries import Entry
from headstart.runs.folder import RunFolder


@dataclass(frozen=True)
class FieldDifference:
    """A field with its value in each entry; several where the seeds of an entry differ."""

    field: str
    values: tuple[str, ...]


def recipe_differences(entries: Sequence[Entry]) -> list[FieldDifference]:
    """The fields that differ between entries, or between the seeds of one: of the recipe first, then of what else was.

    Its name, its description and the time at which a run was started are left out, and seeds that entries share.
    """
    described = [[_fields(run) for run in entry.runs] for entry in entries]
    fields = dict.fromkeys(field for runs in described for run in runs for field in run)
    found = []
    for field in fields:
        values = tuple(_joined([run.get(field, "") for run in runs]) for runs in described)
        if field == "seed" and len(set(values)) == 1:
            continue
        if len({value for runs in described for value in [run.get(field, "") for run in runs]}) > 1:
            found.append(FieldDifference(field, values))
    return found


def _joined(values: Sequence[str]) -> str:
    known = list(dict.fromkeys(values))
    return ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")


def _fields(run: RunFolder) -> dict[str, str]:
    recipe = dict(_flat(run.recipe.model_dump(mode="json")))
    for field in ("name", "description"):
        recipe.pop(field, None)
    data, environment = run.data, run.environment
    weights = environment.get("weights", {})
    images = data.get("images", {})
    return {
        **recipe,
        "data (fingerprint)": str(data["fingerprint"])[:12],
        "training images": f"{data.get('images_trained_on') or images.get('train', 0):,}",
        "validation images": f"{images.get('val', 0):,}",
        "weights (source)": str(weights.get("source", "")) if isinstance(weights, dict) else str(weights),
        "headstart": str(environment.get("headstart", "")),
        "device": str(environment.get("device", "")),
        "threads": str(environment.get("threads") or ""),
    }


def _flat(fields: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((before + name, value if isinstance(value, str) else json.dumps(value)))
    return found
