"""The start of a race: its backbones loaded, its folder read, and in a new race the size of its images chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headstart.comparison.race_file import Backbone, Race, read_race
from headstart.comparison.study import BrokenStudyError
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.environment import environment
from headstart.errors import HeadstartError
from headstart.files import rename_aside
from headstart.metrics.bootstrap import numbered
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_trained_on, run_of
from headstart.studies.race import RaceRunner
from headstart.studies.race_budget import RaceClock
from headstart.studies.race_entries import Entry, Failed, Loaded, load, read_entries
from headstart.studies.race_plan import RacePlan, exists
from headstart.studies.trial import majority_baseline


def prepare_race(plan: RacePlan, dataset: Dataset, clock: RaceClock, note: Callable[[str], None]) -> RaceRunner:
    """A runner of the plan: its backbones loaded, and in a new race with images as large as the budget allows.

    ``note`` is called with a line for each backbone that cannot take part. Raises HeadstartError for what the user can
    fix, when no backbone can be loaded among it.
    """
    plan.validate()
    before = _stored(plan, note)
    if before is not None:
        plan.require_same(before)
    else:
        plan.require_free()
    index = dataset.index(plan.study.recipe.data)
    for fraction in plan.fractions:
        label_subset(index, fraction, plan.study.seeds[0])
    side = plan.study.recipe.data.image_size if before is None else before.image_size
    if before is not None and before.finished and all(each.error is None for each in before.backbones):
        entries = read_entries(plan.backbones, plan.at_side(side).recipe)
        return RaceRunner(plan, dataset, entries, {}, before)
    entries, loaded = _load_all(plan, side, index.classes)
    if before is None:
        images = len(index.positions("train")) + len(index.positions(index.held_out))
        free = "image_size" in plan.study.free
        request = side, [each.seconds for each in loaded.values()], images, free
        asked, clock = clock.budget, clock.enough(*request)
        if asked is not None and clock.budget is not None and clock.budget > asked:
            note(f"budget   {clock.budget / 60:g}m, the least for these backbones and images")
        smaller = clock.image_size(*request)
        if smaller != side:
            entries, loaded = _load_all(plan, smaller, index.classes)
            side = smaller
    entries = _without_contaminated(plan, dataset, side, entries, loaded)
    for each in entries:
        if isinstance(each, Failed):
            note(f"{each.name} does not take part: {each.error.message}")
    race = _new_race(plan, dataset, side, entries, loaded)
    runner = RaceRunner(plan, dataset, entries, loaded, race if before is None else _continued(plan, before, race))
    runner.clock = clock
    return runner


def _load_all(plan: RacePlan, side: int, classes: Sequence[str]) -> tuple[list[Entry | Failed], dict[str, Loaded]]:
    """The entries, and the networks of those that can be loaded and take images of this side."""
    entries, loaded = read_entries(plan.backbones, plan.at_side(side).recipe), dict[str, Loaded]()
    for number, each in enumerate(entries):
        if isinstance(each, Entry):
            try:
                loaded[each.name] = load(each, classes)
            except HeadstartError as error:
                entries[number] = Failed(each.name, error)
    _require_one(entries)
    return entries, loaded


def _require_one(entries: Sequence[Entry | Failed]) -> None:
    failed = [each for each in entries if isinstance(each, Failed)]
    named = [each for each in entries if isinstance(each, Failed) or not each.default]
    if failed and len(failed) == len(named):  # the recipe's own alone would be compared with nothing
        first = failed[0].error
        raise HeadstartError(
            f"--backbones: expected one that can be loaded, found none among {len(failed)}; the first: {first.message}",
            first.hint,
        )


def _without_contaminated(
    plan: RacePlan, dataset: Dataset, side: int, entries: Sequence[Entry | Failed], loaded: dict[str, Loaded]
) -> list[Entry | Failed]:
    """The entries, those failed whose run was trained on held-out images: what they know is no guess of new images."""
    pixels = dataset.pixels(plan.at_side(side).recipe.data)
    split = pixels.index.held_out
    held_out = {pixels.contents[row] for row in pixels.index.positions(split)}
    checked = list(entries)
    for number, each in enumerate(entries):
        if not isinstance(each, Entry) or (folder := run_of(each.key[1])) is None:
            continue
        try:
            seen = len(held_out & read_trained_on(RunFolder(folder)))
            if seen:
                raise HeadstartError(
                    f"{each.name}: expected a run that has not seen the {split} images, found {seen} of"
                    f" {len(held_out)} among its training images",
                    "fit it on the training images alone",
                )
        except HeadstartError as error:
            checked[number] = Failed(each.name, error)
            loaded.pop(each.name)
    _require_one(checked)
    return checked


def _stored(plan: RacePlan, note: Callable[[str], None]) -> Race | None:
    """The race in the folder; a damaged one is set aside, as its features remain."""
    if not exists(plan):
        return None
    file = plan.out / "race.json"
    try:
        return read_race(file)
    except BrokenStudyError as error:
        plan.require_free()
        aside = rename_aside(file)
        note(f"{file} is made again, and what was there set aside as {aside.name}: {error.message}")
        return None


def _new_race(
    plan: RacePlan, dataset: Dataset, side: int, entries: Sequence[Entry | Failed], loaded: dict[str, Loaded]
) -> Race:
    study = plan.at_side(side)
    pixels = dataset.pixels(study.recipe.data)
    split = pixels.index.held_out
    groups = numbered([pixels.index.groups[row] for row in pixels.index.positions(split)])
    return Race(
        name=plan.out.name,
        data=study.data,
        classes=len(pixels.index.classes),
        majority_baseline=majority_baseline(pixels, split),
        split=split,
        groups=groups and tuple(groups),
        image_size=side,
        fractions=plan.fractions,
        seeds=study.seeds,
        fine_tune=plan.fine_tune,
        margin=study.margin / 100,
        fingerprint=pixels.fingerprint,
        backbones=tuple(_backbone(each, loaded) for each in entries),
        requested=plan.requested(),
        environment=environment(),
    )


def _backbone(entry: Entry | Failed, loaded: dict[str, Loaded]) -> Backbone:
    if isinstance(entry, Failed):
        return Backbone(name=entry.name, network="", weights="", error=entry.error.message)
    (network, weights), augment = entry.key, entry.recipe.augment
    return Backbone(
        name=entry.name,
        network=network,
        weights=weights,
        mean=augment.mean,
        std=augment.std,
        default=entry.default,
        sha256=loaded[entry.name].sha256,
    )


def _continued(plan: RacePlan, before: Race, now: Race) -> Race:
    """The race in the folder, with backbones that failed and can be loaded now.

    Raises HeadstartError for other images, and for weights that are others now or gone.
    """
    if before.fingerprint != now.fingerprint:
        raise HeadstartError(
            f"{plan.out}: expected the images of the race in this folder (fingerprint {before.fingerprint}), found"
            f" others ({now.fingerprint})",
            "choose another --out",
        )
    backbones = []
    for was, found in zip(before.backbones, now.backbones, strict=True):
        if was.error is None and (found.error is not None or found.sha256 != was.sha256):
            what = found.error or f"others (SHA-256 {found.sha256})"
            raise HeadstartError(
                f"{was.name}: expected the weights that the race began with (SHA-256 {was.sha256}), found {what}",
                "choose another --out",
            )
        backbones.append(was if was.error is None else found)
    return Race.model_validate({**dict(before), "backbones": tuple(backbones), "margin": now.margin, "finished": False})
