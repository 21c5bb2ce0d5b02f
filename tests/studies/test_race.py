"""A race of backbones on sixty photographs: measured once, continued where it stopped, and bad ones said."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headstart as hs
from command import headstart, refused
from headstart.comparison.race_file import read_race
from headstart.comparison.race_results import RaceResults, table_rows
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.models.backbones import build
from headstart.models.weights import load_weights
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Backbone
from headstart.report.race_page import write_race_page
from headstart.studies import race_features
from headstart.studies.race import RaceRunner
from headstart.studies.race_budget import RaceClock
from headstart.studies.race_plan import RacePlan, make_race_plan
from headstart.studies.race_start import prepare_race
from headstart.transforms.augment import eval_transform
from pages import assert_loads_nothing, visible

pytestmark = pytest.mark.slow

Small = Callable[..., recipes.Recipe]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of another network than the recipe's."""
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("weights") / "other.safetensors"
    save_file(build("test_efficientnet").state_dict(), file)
    return file


@pytest.fixture(scope="module")
def asked(trained: tuple[Path, Path], weights: Path, small: Small) -> RacePlan:
    """The recipe's weights are a run; a weights file and a name that no network has race with them."""
    run, photos = trained
    recipe = small(backbone__weights=str(run), train__epochs=1, augment__sizes=[])
    backbones = [f"test_efficientnet={weights}", "nosuchnet"]
    return make_race_plan(Dataset(photos), backbones, {"recipe": recipe, "seeds": 2, "settings": "D"})


@pytest.fixture
def plan(asked: RacePlan, tmp_path: Path) -> RacePlan:
    """The race, to be run in a folder of its own."""
    return replace(asked, study=replace(asked.study, out=tmp_path / "race"))


@pytest.fixture(scope="module")
def finished(asked: RacePlan, tmp_path_factory: pytest.TempPathFactory) -> tuple[RacePlan, RaceResults]:
    """A race that has been run; to read and not to change."""
    plan = replace(asked, study=replace(asked.study, out=tmp_path_factory.mktemp("finished") / "race"))
    return plan, finish(plan)


def prepared(plan: RacePlan, notes: list[str] | None = None) -> RaceRunner:
    said = [] if notes is None else notes
    return prepare_race(plan, Dataset(plan.study.data), RaceClock(None, 0.0), said.append)


def finish(plan: RacePlan) -> RaceResults:
    runner = prepared(plan)
    for _ in runner.run():
        pass
    runner.finish()
    return runner.results


def test_the_probes_are_those_of_scikit_learn_on_the_network_s_features(
    finished: tuple[RacePlan, RaceResults],
) -> None:
    plan, results = finished
    race, recipe = results.race, plan.study.recipe
    assert [each.error is None for each in race.backbones] == [True, True, False]
    pixels = Dataset(plan.study.data).pixels(recipe.data)
    held_out, labels = pixels.index.positions("val"), np.array(pixels.index.labels)
    for name in (each.name for each in race.backbones if each.error is None):
        known = race.backbone(name)
        network = build(known.network)
        load_weights(network, Backbone(name=known.network, weights=known.weights))
        augment = recipe.augment.model_copy(update={"mean": known.mean, "std": known.std})
        with torch.inference_mode():
            images = eval_transform(pixels.batch(range(len(pixels.index))), augment)
            features = network.eval()(images).numpy().astype(np.float64)
        for fraction in plan.fractions:
            for seed, trial in race.find(name, "D", fraction).items():
                rows = label_subset(pixels.index, fraction, seed)
                model = make_pipeline(
                    StandardScaler(), LogisticRegression(C=1 / trial.chosen["l2"], max_iter=1000, tol=1e-6)
                ).fit(features[rows], labels[rows])
                expected = model.predict(features[held_out]) == labels[held_out]
                assert trial.labels == len(rows)
                assert (expected == trial.correct).mean() > 0.9, (name, fraction, seed)
    assert not (plan.out / "features").exists(), "a finished race needs them no more"


def test_a_killed_race_goes_on_and_encodes_no_image_twice(
    plan: RacePlan, finished: tuple[RacePlan, RaceResults], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finished[1]
    encoded: list[int] = []
    add = race_features.Features.add

    def counting(self: race_features.Features, task: object, pixels: object, rows: object, *rest: object) -> bool:
        encoded.extend(self.missing(rows).tolist())  # type: ignore[arg-type]
        return add(self, task, pixels, rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(race_features.Features, "add", counting)
    for probes in (1, 3):  # killed after so many
        for count, _ in enumerate(prepared(plan).run(), 1):
            if count == probes:
                break
    (plan.out / "race.json").write_text("{")  # and what it left is damaged
    notes: list[str] = []
    runner = prepared(plan, notes)
    for _ in runner.run():
        pass
    runner.finish()
    assert any("race.json.broken-1" in note for note in notes)
    count = len(Dataset(plan.study.data).index(plan.study.recipe.data))
    assert len(encoded) <= 2 * count, "each backbone sees an image once"
    again = runner.results
    assert [(t.backbone, t.fraction, t.seed) for t in again.race.trials] == [
        (t.backbone, t.fraction, t.seed) for t in whole.race.trials
    ]
    assert all((a.correct == b.correct).all() for a, b in zip(again.race.trials, whole.race.trials, strict=True))
    assert read_race(plan.out / "race.json").finished


def test_a_finished_race_loads_nothing_and_says_the_same(plan: RacePlan, weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    plan = replace(plan, backbones=(f"test_efficientnet={copy}",))
    before = table_rows(finish(plan))
    copy.unlink()
    assert table_rows(finish(plan)) == before


def test_the_page_names_every_backbone_and_loads_nothing(finished: tuple[RacePlan, RaceResults]) -> None:
    plan, results = finished
    page = write_race_page(plan.out).read_text(encoding="utf-8")
    assert_loads_nothing(page)
    seen = visible(page)
    for each in results.race.backbones:
        assert each.name in seen
    assert "failed: backbone.name nosuchnet: expected a timm model" in seen
    assert "your recipe's default" in seen.lower()


def test_from_python_the_last_two_are_fine_tuned(
    trained: tuple[Path, Path], weights: Path, small: Small, tmp_path: Path
) -> None:
    run, photos = trained
    recipe = small(backbone__weights=str(run), train__epochs=1, augment__sizes=[])
    table = hs.study(
        photos,
        backbones=[f"test_efficientnet={weights}"],
        recipe=recipe,
        seeds=1,
        labels=[1.0],
        tune=False,
        budget="none",
        out=tmp_path / "race",
        console=Console(file=io.StringIO()),
    )
    assert list(table["setting"]) == ["D", "D", "B", "B"]
    assert set(table["backbone"]) == {str(run), f"test_efficientnet={weights}"}
    assert table["winner"].sum() == 2
    assert (table["accuracy_low"] < table["accuracy"]).all()
    for name, rows in table[table["setting"] == "B"].groupby("backbone"):
        race = read_race(tmp_path / "race" / "race.json")
        folder = next((tmp_path / "race" / "fine-tuned").glob(f"*-{race.backbone(str(name)).network}"))
        own = pd.read_csv(folder / "table.csv")
        assert rows["accuracy"].item() == pytest.approx(own["accuracy"].item())


def test_one_of_several_that_cannot_be_loaded_is_said_and_the_others_go_on(
    trained: tuple[Path, Path], weights: Path, tmp_path: Path
) -> None:
    run, photos = trained
    words = ["data.image_size=32", "augment.sizes=[]", "backbone.name=test_resnet", f"backbone.weights={run}"]
    backbones = f"test_efficientnet={weights},resnet10t,{weights},{tmp_path},nofile.safetensors"
    done = headstart("study", photos, "--backbones", backbones, "--settings", "D", "--out", tmp_path / "race", *words)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "race" / "table.csv").set_index("backbone")
    assert "expected a run folder" in table.loc[str(tmp_path), "error"]
    assert "expected a weights file, found none" in table.loc["nofile.safetensors", "error"]
    assert "another architecture" in table.loc[str(weights), "error"]
    assert table.loc["resnet10t", "error"]
    assert "failed" in done.stdout
    assert "did not take part" in done.stdout
    assert f"headstart study {photos} backbone.name=test_resnet" in done.stdout


def test_a_run_that_was_trained_on_held_out_images_does_not_take_part(
    trained: tuple[Path, Path], weights: Path, small: Small, tmp_path: Path
) -> None:
    """A run whose validation images were others: the folder in two halves of its own."""
    run, photos = trained
    half = tmp_path / "half"
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))):
        split = "val" if number % 2 else "train"
        (half / split / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, half / split / file.parent.name)
    backbones = [str(run), f"test_efficientnet={weights}"]
    plan = make_race_plan(
        Dataset(half), backbones, {"recipe": small(), "settings": "D", "labels": [1.0], "out": tmp_path / "race"}
    )
    notes: list[str] = []
    runner = prepared(plan, notes)
    assert list(runner.loaded) == [backbones[1]]
    assert f"{run}: expected a run that has not seen the val images, found " in notes[0]
    with pytest.raises(hs.HeadstartError, match="found none among 1"):
        prepared(replace(plan, backbones=(str(run),)))


def test_bad_input_is_one_line_and_writes_nothing(
    trained: tuple[Path, Path], weights: Path, small_tiles: Path, tmp_path: Path
) -> None:
    photos, out = trained[1], tmp_path / "race"
    race = ["--out", out, "data.image_size=32", "augment.sizes=[]", "backbone.name=test_resnet"]
    none = [*race, "backbone.weights=none"]
    said = refused("study", photos, "--backbones", "nosuchnet,none.pth", *none)
    assert "--backbones: expected one that can be loaded, found none among 2; the first: backbone.name nosuch" in said
    assert "expected names, runs or weights files, found none" in refused("study", photos, "--backbones", " ,", *none)
    said = refused("study", photos, "--backbones", "resnet10t", "--settings", "AB", *none)
    assert "--settings: expected D (probes) or DB" in said
    said = refused("study", photos, "--backbones", "resnet10t", "--corpus", photos, *none)
    assert "--corpus: expected none with --backbones" in said
    assert "expected a class for each image, found masks" in refused(
        "study", small_tiles, "--backbones", "resnet10t", "--out", out
    )
    own = f"backbone.weights={trained[0]}"
    said = refused("study", photos, "--backbones", f"test_efficientnet={weights}", "--budget", "0.001s", *race, own)
    assert "--budget: expected at least 1m for 2 backbones on" in said
    assert not out.exists()


def test_a_budget_that_nobody_chose_is_the_least_that_the_race_needs(plan: RacePlan) -> None:
    said: list[str] = []
    clock = RaceClock(0.001, 0.0, fine_tune=False, at_least=True, now=lambda: 0.0)
    runner = prepare_race(plan, Dataset(plan.study.data), clock, said.append)
    assert runner.clock.budget is not None and runner.clock.budget >= 60.0 and runner.clock.budget % 60 == 0
    assert f"budget   {runner.clock.budget / 60:g}m, the least" in said[0]
    enough = replace(runner.clock, at_least=False)
    assert enough.enough(32, [0.001], 10, free=True) is enough, "no clock is set that has the time"


def test_a_folder_goes_on_only_as_it_was_begun(finished: tuple[RacePlan, RaceResults], tmp_path: Path) -> None:
    of_another = tmp_path / "race"
    shutil.copytree(finished[0].out, of_another)
    plan = replace(finished[0], study=replace(finished[0].study, out=of_another))
    with pytest.raises(hs.HeadstartError, match=r"seeds: 2 in the folder, 3 requested"):
        prepared(replace(plan, study=replace(plan.study, seeds=(0, 1, 2))))
    with pytest.raises(hs.HeadstartError, match=r"backbones: .* requested"):
        prepared(replace(plan, backbones=("nosuchnet",)))
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(hs.HeadstartError, match="expected a free folder for the race"):
        prepared(replace(plan, study=replace(plan.study, out=other)))
    file = plan.out / "race.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 9}))
    with pytest.raises(hs.HeadstartError, match="expected a race of format 1, found format 9"):
        prepared(plan)
