"""Does `headstart check RUN IMAGES` hear what it should, and nothing else?

python benchmarks/image_check.py FEATURES.npz [...]         one file per data set, of frozen features

A file holds ``xt, yt`` and ``xv, yv``, features and labels of training and validation images, and under any other name
the features of changed validation images (blur, JPEG). A logistic probe stands for the classifier. Per set:

- AUROC of the distance to the training images, and of confidence, for the images of a class that was left out of
  training and bank, against those of the others: the mean over (at most ten) classes. Then the medians over the sets.
- Alarms: half of the validation images stand for those of the run; 50, and then all, of the other half are checked, as
  they are, changed, and against images of the other sets of equal width. At most 5 % may be heard of those as they are.
- `predict --refuse 0.10`, chosen on one half: the error among those answered of the other half.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.errors import HeadstartError
from headstart.metrics.neighbors import neighbor_distances
from headstart.metrics.refusal import choose_refusal
from headstart.metrics.shift import differences

SPLITS, REFUSE = 200, 0.10
Arrays = dict[str, NDArray[np.float32]]


def probe(x: NDArray[np.float32], y: NDArray[np.float32]) -> LogisticRegression:
    return make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=200)).fit(x, y)


def left_out(data: Arrays) -> tuple[float, float]:
    random, both = np.random.default_rng(0), []
    classes = np.unique(data["yt"])
    for left in random.permutation(classes)[:10]:
        kept, new = data["yt"] != left, data["yv"] == left
        trained = probe(data["xt"][kept], data["yt"][kept])
        both.append(
            (
                roc_auc_score(new, neighbor_distances(data["xv"], data["xt"][kept])),
                roc_auc_score(new, -trained.predict_proba(data["xv"]).max(axis=1)),
            )
        )
    distance, confidence = np.mean(both, axis=0)
    return float(distance), float(confidence)


def alarms(data: Arrays, new: NDArray[np.float32], count: int, splits: int) -> float:
    trained, random, heard = probe(data["xt"], data["yt"]), np.random.default_rng(1), 0
    numbers = [
        {"distance": neighbor_distances(x, data["xt"]), "confidence": trained.predict_proba(x).max(axis=1)}
        for x in (data["xv"], new)
    ]
    half = len(data["xv"]) // 2
    for _ in range(splits):
        order = random.permutation(len(data["xv"]))
        own = order[:half]
        others = order[half:] if len(new) == len(data["xv"]) else random.permutation(len(new))
        parts = [{name: each[rows] for name, each in n.items()} for n, rows in zip(numbers, (own, others[:count]), strict=True)]  # fmt: skip  # noqa: E501
        found = differences((data["xv"][own], new[others[:count]]), *parts)
        heard += any(each.significant for each in found)
    return heard / splits


def refused(data: Arrays) -> str:
    trained, random, errors, answered = probe(data["xt"], data["yt"]), np.random.default_rng(2), [], []
    known = np.isin(data["yv"], trained.classes_)
    p = trained.predict_proba(data["xv"][known])
    labels = np.searchsorted(trained.classes_, data["yv"][known])
    for _ in range(SPLITS):
        order = random.permutation(len(labels))
        own, fresh = order[: len(order) // 2], order[len(order) // 2 :]
        try:
            answers = ~choose_refusal(labels[own], p[own], REFUSE).refuses(p[fresh])
        except HeadstartError:
            continue
        errors.append((p[fresh].argmax(axis=1) != labels[fresh])[answers].mean())
        answered.append(answers.mean())
    if not errors:
        return "no promise"
    return f"promised in {len(errors)} of {SPLITS}: {np.mean(answered):.0%} answered, {np.mean(errors):.1%} wrong, over 12 % in {np.mean(np.array(errors) > REFUSE + 0.02):.1%}"  # fmt: skip  # noqa: E501


def main(*files: str) -> None:
    sets: dict[str, Arrays] = {Path(file).stem: dict(np.load(file)) for file in files}
    scores = []
    for name, data in sets.items():
        scores.append(left_out(data))
        print(f"{name}: AUROC left out: distance {scores[-1][0]:.3f}, confidence {scores[-1][1]:.3f}")
        rest = len(data["xv"]) - len(data["xv"]) // 2
        print(f"  alarms as they are: {alarms(data, data['xv'], 50, SPLITS):.1%}, {rest} images {alarms(data, data['xv'], rest, SPLITS):.1%}")  # fmt: skip  # noqa: E501
        changed = {kind: x for kind, x in data.items() if kind not in ("xt", "yt", "xv", "yv")}
        others = {other: each["xv"] for other, each in sets.items() if other != name}
        heard = {kind: alarms(data, x, 50, 40) for kind, x in (changed | others).items()}
        print(f"  alarms of 50 images: {', '.join(f'{kind} {share:.0%}' for kind, share in heard.items())}")
        print(f"  --refuse {REFUSE}: {refused(data)}", flush=True)
    print("medians over sets: distance {:.3f}, confidence {:.3f}".format(*np.median(scores, axis=0)))


if __name__ == "__main__":
    main(*sys.argv[1:])
