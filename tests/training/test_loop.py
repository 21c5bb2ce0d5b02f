"""The training loop: what it writes, what it keeps, and that it ends the same whatever interrupts it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import resnet18
from torchvision.transforms import v2

import headstart as hs
from forked import python
from headstart.data.sampling import seed_of
from headstart.models.backbones import build
from headstart.recipes import recipe as recipes
from headstart.report.run_page import write_report
from headstart.runs.folder import RunFolder
from headstart.tasks import task_named
from headstart.training.loop import Epoch, Step, train
from headstart.training.setup import resume, start
from interrupted import stopped_after, stopped_and_resumed

Small = Callable[..., recipes.Recipe]


def finish(run: Path, photos: Path, recipe: recipes.Recipe) -> RunFolder:
    for _ in train(start(recipe, str(photos), run)):
        pass
    return RunFolder.open(run)


def same(one: Path, other: Path) -> bool:
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.slow
def test_a_run_is_complete_and_in_order(photos: Path, tmp_path: Path, small: Small) -> None:
    run = finish(tmp_path / "run", photos, small())
    assert run.finished
    assert run.classes == ["dress", "hat", "shoes"]
    assert [(row["epoch"], row["split"]) for row in run.metrics] == [(e, s) for e in range(3) for s in ("train", "val")]
    assert run.data["counts"] == {"train": dict.fromkeys(run.classes, 16), "val": dict.fromkeys(run.classes, 4)}
    assert recipes.load(str(run.path / "recipe.toml")) == small()
    assert not list(run.path.rglob(".*.part"))
    assert not run.checkpoint.exists()


@pytest.mark.slow
def test_the_kept_weights_are_those_of_the_best_epoch(photos: Path, tmp_path: Path, small: Small) -> None:
    """Weights seen at the end of each epoch, against what lies in weights/best at the end."""
    for metric, sign in (("val_loss", 1), ("val_accuracy", -1)):
        training = start(small(checkpoint__monitor=metric, optimizer__lr=0.02), str(photos), tmp_path / metric)
        seen = []
        for event in train(training):
            if isinstance(event, Epoch):
                value = sign * event.rows[1][metric.removeprefix("val_")]
                seen.append((value, event.epoch, {k: v.clone() for k, v in training.task.weights().items()}))
        best = min(seen, key=lambda each: each[:2])[2]
        kept = load_file(training.run.best)
        assert all(torch.equal(best[key], kept[key]) for key in best)


@pytest.mark.slow
def test_epochs_that_are_not_validated_change_nothing_but_what_is_said_of_them(
    photos: Path, tmp_path: Path, small: Small
) -> None:
    """Also stopped before the first validated epoch, reported on, and resumed."""
    every, sparse = small(train__epochs=4), small(train__epochs=4, val__every=3)
    whole, some = finish(tmp_path / "whole", photos, every), tmp_path / "some"
    stopped_after(3, some, photos, sparse)
    write_report(RunFolder.open(some))
    for _ in train(resume(some)):
        pass
    run, times = RunFolder.open(some), {"seconds", "images_per_second"}
    expected = [row for row in whole.metrics if row["split"] == "train" or row["epoch"] in (0, 3)]
    assert [{k: v for k, v in row.items() if k not in times} for row in run.metrics] == [
        {k: v for k, v in row.items() if k not in times} for row in expected
    ]
    assert same(whole.last, run.last)
    write_report(run)
    late = small(train__epochs=4, val__every=4)
    stopped_after(6, tmp_path / "late", photos, late)  # an epoch is done, and none validated
    assert [row["split"] for row in RunFolder.open(tmp_path / "late").metrics] == ["train"]
    write_report(RunFolder.open(tmp_path / "late"))
    with pytest.raises(hs.HeadstartError, match="1 of 4 epochs"):
        RunFolder.open(tmp_path / "late").require_finished()


@pytest.mark.slow
def test_muon_and_mirrored_validation_resume_to_the_same_weights(photos: Path, tmp_path: Path, small: Small) -> None:
    recipe = small(optimizer__name="muon", backbone__name="resnet8s", backbone__weights="none", val__hflip=True)
    whole = finish(tmp_path / "whole", photos, recipe)
    again = stopped_and_resumed(3, tmp_path / "stopped", photos, recipe)
    assert same(whole.last, again.run.last)


def test_images_are_classified_at_the_size_that_the_recipe_says(small: Small) -> None:
    recipe = small(backbone__name="resnet8s", backbone__weights="none", val__image_size=24)
    torch.manual_seed(0)
    task = task_named("classify").build(recipe, ["a", "b", "c"])
    images = torch.rand(4, 3, 32, 32)
    smaller = v2.functional.resize(images, [24, 24], antialias=True)
    with torch.inference_mode():
        (at_24,), expected = task.eval().encode(images), task.backbone(smaller)
        torch.testing.assert_close(at_24, expected)
        (trained,) = task.train().encode(images)
        torch.testing.assert_close(trained, task.backbone(images), rtol=1e-3, atol=1e-3)


def test_mirrored_validation_takes_an_image_for_what_its_mirror_image_is(photos: Path, small: Small) -> None:
    recipe = small(backbone__name="resnet8s", backbone__weights="none", val__hflip=True)
    torch.manual_seed(0)
    task = task_named("classify").build(recipe, ["a", "b", "c"]).eval()
    plain = task_named("classify").build(recipes.override(recipe, {"val.hflip": False}), ["a", "b", "c"]).eval()
    plain.load_state_dict(task.state_dict())
    images = torch.rand(4, 3, 32, 32)
    with torch.inference_mode():
        (both,), (mirrored,) = task.encode(images), task.encode(images.flip(-1))
        expected = (plain.encode(images)[0] + plain.encode(images.flip(-1))[0]) / 2
    torch.testing.assert_close(both, mirrored)
    torch.testing.assert_close(both, expected)
    assert not torch.allclose(both, plain.encode(images)[0])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_does_not(photos: Path, tmp_path: Path, small: Small) -> None:
    one, two, other = (finish(tmp_path / str(i), photos, small(seed=s)) for i, s in enumerate((0, 0, 1)))
    assert same(one.last, two.last)
    assert not same(one.last, other.last)


@pytest.mark.slow
@pytest.mark.parametrize("events", [1, 3, 4, 5, 9])
def test_stopped_anywhere_and_resumed_it_ends_at_the_same_weights(
    events: int, trained: tuple[Path, Path], tmp_path: Path, small: Small
) -> None:
    """Within an epoch, after its last step, after its end, and within the next; four steps are an epoch."""
    whole = RunFolder.open(trained[0])
    again = stopped_and_resumed(events, tmp_path / "stopped", trained[1], small()).run
    assert same(whole.last, again.last)
    assert same(whole.best, again.best)
    times = {"seconds", "images_per_second"}
    assert [{k: v for k, v in row.items() if k not in times} for row in whole.metrics] == [
        {k: v for k, v in row.items() if k not in times} for row in again.metrics
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"data__image_size": 32, "augment__sizes": []},
            "data.image_size 32: expected images that backbone.name efficientformer_l1",
        ),
        ({"data__image_size": 224, "augment__sizes": [64, 224]}, "augment.sizes 64: expected images that"),
    ],
)
def test_a_size_that_the_backbone_does_not_take_is_refused_before_there_is_a_run(
    changes: dict[str, object], said: str, photos: Path, tmp_path: Path, small: Small
) -> None:
    with pytest.raises(hs.HeadstartError, match=said) as caught:
        start(small(backbone__name="efficientformer_l1", **changes), str(photos), tmp_path / "run")
    assert caught.value.hint.startswith("data.image_size=224")
    assert not (tmp_path / "run").exists()


def test_the_first_weights_hang_on_the_seed_alone(photos: Path, tmp_path: Path, small: Small) -> None:
    """Not on the networks that were made before, such as the one that is asked whether it takes the sizes."""
    recipe = small(seed=3)
    torch.manual_seed(seed_of("weights", 3))
    drawn = task_named("classify").build(recipe, ("dress", "hat", "shoes")).weights()
    begun = start(recipe, str(photos), tmp_path / "run").task.weights()
    assert all(torch.equal(drawn[name], begun[name]) for name in drawn)


KILLED_AT = {
    "before the first step": "def hook(n): os.kill(os.getpid(), 9) if n == 0 else None",
    "within an epoch": "def hook(n): os.kill(os.getpid(), 9) if n == 2 else None",
    "after an epoch": "def hook(n): os.kill(os.getpid(), 9) if n == 5 else None",
    "within the last epoch": "def hook(n): os.kill(os.getpid(), 9) if n == 12 else None",
}
INSIDE_A_SAVE = {
    "inside the save of a checkpoint": (".checkpoint.pt.part", 3),
    "inside the save of the best weights": (".best.safetensors.part", 1),
    "inside the save of the last weights": (".last.safetensors.part", 3),
    "inside the write of the metrics": (".metrics.csv.part", 2),
    "inside the write of the last metrics": (".metrics.csv.part", 3),
}
"""The ending of a file that is being written, and which of its writes is cut short."""
DIES_INSIDE = """
def hook(n): pass
fsync, saves = os.fsync, 0
def die_half_way(fd):
    global saves
    if os.readlink(f"/proc/self/fd/{{fd}}").endswith({ending!r}):
        saves += 1
        if saves == {count}:
            os.ftruncate(fd, os.fstat(fd).st_size // 2)
            os.kill(os.getpid(), 9)
    fsync(fd)
os.fsync = die_half_way
"""
KILLED = """
import os, sys
from pathlib import Path
from headstart.recipes import recipe
from headstart.training.loop import train
from headstart.training.setup import start
{hook}
settings = recipe.build(eval(sys.argv[3]), {{"checkpoint.every_minutes": 1e-9}})
training = start(settings, sys.argv[1], Path(sys.argv[2]))
hook(0)
for n, event in enumerate(train(training), 1):
    hook(n)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know which file is being written")
@pytest.mark.parametrize("moment", [*KILLED_AT, *INSIDE_A_SAVE])
def test_killed_and_resumed_it_ends_at_the_same_weights(
    moment: str, trained: tuple[Path, Path], tmp_path: Path, small: Small
) -> None:
    """SIGKILL in another process, then `resume` in this one."""
    whole, photos = RunFolder.open(trained[0]), trained[1]
    ending, count = INSIDE_A_SAVE.get(moment, ("", 0))
    program = KILLED.format(hook=KILLED_AT.get(moment, DIES_INSIDE.format(ending=ending, count=count)))
    settings = repr(small().model_dump(exclude_none=True))
    killed = python(tmp_path, program, photos, tmp_path / "killed", settings)
    assert killed.returncodes == [-signal.SIGKILL], killed.output
    for _ in train(resume(tmp_path / "killed")):
        pass
    again = RunFolder.open(tmp_path / "killed")
    assert same(whole.last, again.last)
    assert same(whole.best, again.best)
    assert again.finished


@pytest.mark.slow
def test_resume_does_not_need_the_weights_that_the_run_began_with(photos: Path, tmp_path: Path, small: Small) -> None:
    """It goes on from the trained weights, not from the pretrained ones."""
    first = finish(tmp_path / "first", photos, small())
    recipe = small(backbone__weights=str(first.path))
    loop = train(start(recipe, str(photos), tmp_path / "second"))
    assert isinstance(next(loop), Step)
    loop.close()
    first.best.unlink()
    for _ in train(resume(tmp_path / "second")):
        pass
    assert RunFolder.open(tmp_path / "second").finished


@pytest.mark.slow
def test_a_run_from_pretrained_weights_that_is_resumed_ends_as_one_that_was_not(
    trained: tuple[Path, Path], tmp_path: Path, small: Small
) -> None:
    first, photos = trained
    recipe = small(backbone__weights=str(first), seed=1)
    whole = finish(tmp_path / "whole", photos, recipe)
    assert whole.environment["weights"]["source"] == f"run {first}"
    for events in (0, 2, 5):  # before the first save it begins again with the same weights
        again = stopped_and_resumed(events, tmp_path / f"stopped after {events}", photos, recipe).run
        assert same(whole.last, again.last)
        assert same(whole.best, again.best)


def test_resume_refuses_other_images(photos: Path, tmp_path: Path, small: Small) -> None:
    stopped_after(1, tmp_path / "run", photos, small())
    next((photos / "hat").iterdir()).unlink()
    with pytest.raises(hs.HeadstartError, match=r"expected the images that .* began with"):
        resume(tmp_path / "run")


@pytest.mark.slow
def test_resume_finds_images_that_have_moved(photos: Path, tmp_path: Path, small: Small) -> None:
    stopped_after(1, tmp_path / "run", photos, small())
    moved = photos.rename(tmp_path / "elsewhere")
    for _ in train(resume(tmp_path / "run", str(moved))):
        pass
    assert RunFolder.open(tmp_path / "run").finished


@pytest.mark.slow
def test_a_finished_run_is_not_resumed(photos: Path, tmp_path: Path, small: Small) -> None:
    finish(tmp_path / "run", photos, small(train__epochs=2))
    with pytest.raises(hs.HeadstartError, match="found all 2 epochs done"):
        resume(tmp_path / "run")


def test_a_damaged_checkpoint_is_said_to_be_one(photos: Path, tmp_path: Path, small: Small) -> None:
    stopped_after(1, tmp_path / "run", photos, small())
    checkpoint = RunFolder.open(tmp_path / "run").checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(hs.HeadstartError, match="damaged file"):
        resume(tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run_with_advice(photos: Path, tmp_path: Path, small: Small) -> None:
    with pytest.raises(hs.HeadstartError, match=r"expected a finite loss.*optimizer\.lr="):
        finish(tmp_path / "run", photos, small(optimizer__lr=1e30))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*to a meta parameter")
def test_metrics_of_a_checkpoint_go_to_the_device_of_the_training(
    small_tiles: Path, tmp_path: Path, masked: Small
) -> None:
    """The device without memory stands for a GPU: a metric takes over the tensors that it loads."""
    training = start(masked(train__epochs=1, data__image_size=32), str(small_tiles), tmp_path / "run")
    state = {"task": training.task.state_dict(), "optimizer": training.optimizer.state_dict()}
    training.task.to("meta")
    elsewhere = SimpleNamespace(device=torch.device("meta"), is_global_zero=True)
    replace(training, fabric=cast(Any, elsewhere)).load(training.progress, state)
    devices = {
        value.device.type
        for metric in training.task.training_metrics.values()
        for value in metric.metric_state.values()
        if isinstance(value, torch.Tensor)
    }
    assert devices == {"meta"}


def test_a_frozen_backbone_stays_as_it_was_to_the_last_bit(photos: Path, tmp_path: Path, small: Small) -> None:
    training = start(small(backbone__freeze=True), str(photos), tmp_path / "run")
    before = {key: tensor.clone() for key, tensor in training.task.backbone.state_dict().items()}
    head = {key: tensor.clone() for key, tensor in training.task.state_dict().items() if key.startswith("head.")}
    for _ in train(training):
        pass
    assert all(torch.equal(before[key], tensor) for key, tensor in training.task.backbone.state_dict().items())
    assert any(not torch.equal(head[key], training.task.state_dict()[key]) for key in head if "weight" in key)


def test_the_first_stages_of_a_backbone_stay_as_they_were_and_the_others_learn(
    photos: Path, tmp_path: Path, small: Small
) -> None:
    """The stem and layer1 of a ResNet, with the statistics of their normalization; as torch's own freezing has it."""
    weights = tmp_path / "weights.safetensors"
    save_file(build("test_resnet").state_dict(), weights)
    recipe = small(
        backbone__name="test_resnet", backbone__weights=str(weights), backbone__freeze_stages=1, train__epochs=1
    )
    training = start(recipe, str(photos), tmp_path / "run")
    before = {key: tensor.clone() for key, tensor in training.task.backbone.state_dict().items()}
    for _ in train(training):
        pass
    after = training.task.backbone.state_dict()
    changed = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"layer2", "layer3", "layer4"}
    kept = {key.partition(".")[0] for key in before if torch.equal(before[key], after[key])}
    assert {"conv1", "bn1", "layer1"} <= kept
    again = stopped_and_resumed(1, tmp_path / "stopped", photos, recipe)
    assert all(torch.equal(after[key], value) for key, value in again.task.backbone.state_dict().items())


def test_first_stages_are_frozen_only_where_they_have_learned_something(
    photos: Path, tmp_path: Path, small: Small
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(build("test_resnet").state_dict(), weights)
    for change, said in (
        ({"backbone__weights": "none"}, "expected 0 for random weights, found 1"),
        ({"backbone__freeze_stages": 4}, r"expected less than the 4 stages of this backbone, found 4"),
    ):
        changes = {"backbone__name": "test_resnet", "backbone__weights": str(weights), "backbone__freeze_stages": 1}
        changes |= change
        with pytest.raises(hs.HeadstartError, match=rf"backbone\.freeze_stages: {said}"):
            start(small(**changes), str(photos), tmp_path / "run")
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_model_a_is_what_the_report_describes(photos: Path, tmp_path: Path) -> None:
    """Model A against the same thing written by hand with torchvision and torch: equal weights after three steps."""
    recipe = recipes.load(
        "resnet18-scratch", {"data.image_size": 64, "augment.hflip": 0, "augment.rotate": 0, "head.dropout": 0}
    )
    training = start(recipe, str(photos), tmp_path / "run")
    network = resnet18()
    network.fc = nn.Sequential(
        nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0), nn.Linear(128, 3)
    )
    ours = training.task.state_dict()
    theirs = {k: ours[("head." + k[3:]) if k.startswith("fc.") else "backbone." + k] for k in network.state_dict()}
    network.load_state_dict(theirs)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    factor: Callable[[int], float] = lambda epoch: epoch / 30 if epoch < 30 else 1 - (epoch - 30) / (100 - 30)  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    normalize = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    from headstart.data.sampling import epoch_permutation

    rows = training.train_rows
    loop = train(training)
    for epoch in range(2):
        order = rows[epoch_permutation(recipe.seed, epoch, len(rows))]
        for step in range(2):  # 48 images: a batch of 32 and one of 16
            chosen = order[32 * step : 32 * step + 32]
            loss = nn.functional.cross_entropy(
                network(normalize(training.pixels.batch(chosen))), training.labels[torch.from_numpy(chosen)]
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            event = next(loop)
            assert isinstance(event, Step)
            torch.testing.assert_close(event.loss, loss.detach(), rtol=2e-4, atol=1e-5)
        assert isinstance(next(loop), Epoch)
        schedule.step()
    final = training.task.state_dict()
    for key, tensor in network.state_dict().items():
        mine = final[("head." + key[3:]) if key.startswith("fc.") else "backbone." + key]
        torch.testing.assert_close(mine, tensor, rtol=1e-3, atol=1e-4)
    assert np.isclose(training.run.metrics[2]["lr"], 1e-4 / 30)
