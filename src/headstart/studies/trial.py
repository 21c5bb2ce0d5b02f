"""What came of one trial of a study, read from its run folder, and what comes of guessing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.comparison.intervals import CrossFit, crossfit
from headstart.comparison.study import Trial
from headstart.data.pixels import Pixels
from headstart.errors import HeadstartError
from headstart.metrics.classification import classification_metrics
from headstart.metrics.neighbors import knn_correct, nearest_neighbors
from headstart.metrics.pseudo_values import pseudo_values
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.features import Features, read_features
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.studies.plan import Plan


def read_trial(run: RunFolder, plan: Plan, setting: str, split: str, lr: float | None) -> Trial:
    """The trial of a finished run, judged on the images of ``split``; ``lr`` is the chosen learning rate.

    Where the recipe chose its epoch by these very images, the answers are those of cross-fitting: each image is judged
    by the epoch that the other half of them chose. Of masks no epoch is chosen.
    """
    chosen = {"lr": lr} if lr is not None else {}
    if run.recipe.probe.method == "logistic":
        chosen = {"l2": 1 / run.probe["C"]}
    return Trial(
        setting=setting,
        fraction=run.recipe.data.label_fraction,
        labels=run.data["images_trained_on"],
        seed=run.recipe.seed,
        chosen=chosen,
        tried=tuple(plan.tunings(setting)) if "lr" in chosen else (),
        images_seen=sum(row["images"] for row in run.metrics if row["split"] == "train"),
        **({"scores": pseudo_values(_confusion(run, plan, split))} if plan.masks else _of_answers(run, plan, split)),
    )


def _confusion(run: RunFolder, plan: Plan, split: str) -> NDArray[np.int64]:
    """Pixels of each image that judges by class and predicted class, (N, K, K)."""
    if split == "test":
        from headstart.inference.evaluate import MaskEvaluation, evaluate

        evaluation = evaluate(run, plan.data, split="test")
        assert isinstance(evaluation, MaskEvaluation)
        return evaluation.confusion
    kept = read_mask_confusions(run)
    assert kept is not None  # a finished run has them
    return kept.confusion


def _of_answers(run: RunFolder, plan: Plan, split: str) -> dict[str, Any]:
    """What the answers of a classifier say: the fields of `Trial` that are theirs."""
    labels, probabilities = _answers(run, plan, split)
    right, optimism = probabilities.argmax(axis=1) == labels, None
    features = read_features(run)
    if split == "val" and len(features.epochs) > 1 and run.recipe.checkpoint.monitor != "last":
        honest = _crossfitted(features, run)
        right, optimism = honest.correct, honest.optimism
    ece = classification_metrics(labels, probabilities, run.classes, resamples=1).ece.value
    return {"right": right, "ece": ece, "knn": _knn(features), "optimism": optimism}


def _answers(run: RunFolder, plan: Plan, split: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities of the kept weights on the images that judge."""
    if split == "test":
        from headstart.inference.evaluate import Evaluation, evaluate

        evaluation = evaluate(run, plan.data, split="test")
        assert isinstance(evaluation, Evaluation)
        return evaluation.labels, evaluation.probabilities.astype(np.float64)
    kept = read_predictions(run)
    assert kept is not None  # a finished run has them
    return kept.labels, kept.probabilities


def _crossfitted(features: Features, run: RunFolder) -> CrossFit:
    val = np.flatnonzero(features.splits == "val")
    labels = features.labels[val]
    p = np.stack([each.probabilities[val] for each in features.epochs])
    likelihood = np.maximum(p[:, np.arange(len(val)), labels], np.finfo(np.float32).tiny)
    metric = "val_accuracy" if run.recipe.checkpoint.monitor == "val_accuracy" else "val_loss"
    return crossfit(-np.log(likelihood), p.argmax(axis=2) == labels, metric)  # type: ignore[arg-type]


def _knn(features: Features) -> float | None:
    """kNN accuracy of the last epoch's features: validation images among the training images looked at."""
    val, train = (np.flatnonzero(features.splits == split) for split in ("val", "train"))
    if len(train) < 2:
        return None
    seen = features.epochs[-1].features
    near = nearest_neighbors(seen[val], seen[train])
    return float(knn_correct(near, features.labels[train], features.labels[val]).mean())


def majority_baseline(pixels: Pixels, split: str) -> float:
    """The accuracy of always answering the commonest class of a split, or the mean IoU of painting all with it.

    Raises HeadstartError where every pixel is ignored.
    """
    if pixels.index.masks:
        shares = pixels.shares(split).values()
        if not any(shares):
            raise HeadstartError(
                f"{pixels.index.root}: expected pixels to judge by, found none that count in the {split} masks",
                f"headstart check {pixels.index.root}",
            )
        return max(shares) / sum(share > 0 for share in shares)
    counts = pixels.index.counts(split).values()
    return max(counts) / sum(counts)
