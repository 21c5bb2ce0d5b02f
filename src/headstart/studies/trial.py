"""Results of one trial of a study, read from its run folder, and the majority-class baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.comparison.intervals import CrossFit, crossfit
from headstart.comparison.study import Trial
from headstart.data.dataset import Dataset
from headstart.data.pixels import Pixels
from headstart.errors import HeadstartError, quoted
from headstart.metrics.classification import classification_metrics
from headstart.metrics.neighbors import knn_correct, nearest_neighbors, voters
from headstart.metrics.pseudo_values import pseudo_values
from headstart.runs.confusion import read_mask_confusions
from headstart.runs.features import Features, read_features
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.studies.plan import Plan


def read_trial(
    run: RunFolder,
    plan: Plan,
    dataset: Dataset,
    at: tuple[str, float],
    split: str,
    lr: float | None,
    tried: tuple[float, ...],
) -> Trial:
    """The trial of a finished run, evaluated on ``split`` (`val` or `test`).

    ``lr`` is the learning rate tuned ``at`` its setting and a label fraction, the best of those ``tried``.

    Where the recipe chose its epoch on these same images, the predictions are cross-fitted: each image is evaluated at
    the epoch that the other half of the images chose. With masks, no epoch is chosen.
    """
    chosen = {"lr": lr} if lr is not None else {}
    if run.recipe.probe.method == "logistic":
        chosen = {"l2": 1 / run.probe["C"]}
    return Trial(
        setting=at[0],
        fraction=run.recipe.data.label_fraction,
        labels=run.data["images_trained_on"],
        seed=run.recipe.seed,
        chosen=chosen,
        tried=tried if "lr" in chosen else (),
        tuned_at=at[1] if "lr" in chosen else None,
        images_seen=sum(row["images"] for row in run.metrics if row["split"] == "train"),
        **(
            {"scores": pseudo_values(_confusion(run, dataset, split))}
            if plan.masks
            else _classification_results(run, dataset, split)
        ),
    )


def _confusion(run: RunFolder, dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Confusion matrix of each image of the split, (N, K, K): pixels by class and predicted class."""
    if split == "test":
        from headstart.inference.evaluate import MaskEvaluation, evaluate

        evaluation = evaluate(run, dataset, split="test")
        assert isinstance(evaluation, MaskEvaluation)
        return evaluation.confusion
    confusions = read_mask_confusions(run)
    assert confusions is not None  # a finished run has them
    return confusions.confusion


def _classification_results(run: RunFolder, dataset: Dataset, split: str) -> dict[str, Any]:
    """The fields of `Trial` that a classifier's predictions give."""
    labels, probabilities = _predictions(run, dataset, split)
    correct, optimism = probabilities.argmax(axis=1) == labels, None
    features = read_features(run)
    if split == "val" and len(features.epochs) > 1 and run.recipe.checkpoint.monitor != "last":
        fit = _crossfit(features, run)
        correct, optimism = fit.correct, fit.optimism
    ece = classification_metrics(labels, probabilities, run.classes, resamples=1).ece.value
    return {"correct": correct, "ece": ece, "knn": _knn(features), "optimism": optimism}


def _predictions(run: RunFolder, dataset: Dataset, split: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels (N,) and probabilities (N, K) of the best weights on the split."""
    if split == "test":
        from headstart.inference.evaluate import Evaluation, evaluate

        evaluation = evaluate(run, dataset, split="test")
        assert isinstance(evaluation, Evaluation)
        return evaluation.labels, evaluation.probabilities.astype(np.float64)
    predictions = read_predictions(run)
    assert predictions is not None  # a finished run has them
    return predictions.labels, predictions.probabilities


def _crossfit(features: Features, run: RunFolder) -> CrossFit:
    val = np.flatnonzero(features.splits == "val")
    labels = features.labels[val]
    p = np.stack([each.probabilities[val] for each in features.epochs])
    likelihood = np.maximum(p[:, np.arange(len(val)), labels], np.finfo(np.float32).tiny)
    metric = "val_accuracy" if run.recipe.checkpoint.monitor == "val_accuracy" else "val_loss"
    return crossfit(-np.log(likelihood), p.argmax(axis=2) == labels, metric)  # type: ignore[arg-type]


def _knn(features: Features) -> float | None:
    """kNN accuracy of the last epoch's features: validation images against the sampled training images."""
    val, train = (np.flatnonzero(features.splits == split) for split in ("val", "train"))
    if len(train) < 2:
        return None
    last = features.epochs[-1].features
    near = nearest_neighbors(last[val], last[train], voters(features.labels[train]))
    return float(knn_correct(near, features.labels[train], features.labels[val]).mean())


def majority_baseline(pixels: Pixels, split: str) -> float:
    """Accuracy of always predicting the majority class of a split, 0 to 1; with masks, mean IoU of the same.

    Raises HeadstartError where every pixel is ignored.
    """
    if pixels.index.masks:
        shares = pixels.shares(split).values()
        if not any(shares):
            raise HeadstartError(
                f"{pixels.index.root}: expected labeled pixels in the {split} masks, found only ignored ones",
                f"headstart check {quoted(pixels.index.root)}",
            )
        return max(shares) / sum(share > 0 for share in shares)
    counts = pixels.index.counts(split).values()
    return max(counts) / sum(counts)
