"""What the figures of a run of masks say, in words; a finding appears only when it is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from headstart.analysis.findings import GAP
from headstart.files import Row
from headstart.metrics.bootstrap import Floats
from headstart.metrics.segmentation import Counts, confused_pairs, iou, mean_iou
from headstart.runs.confusion import MaskConfusions
from headstart.runs.folder import best_epoch

MISSED = 0.05
"""A class is as good as never found when less than this share of its pixels is."""
MUCH = 0.25
"""A pair of classes is named when it makes more than this share of all wrong pixels."""
APART = 0.1
"""IoU of rare classes, or a mean over images, is named when it lies further than this from what it is set against."""
FEW = 0.2
"""Mistakes are gathered when half of them lie in less than this share of the images."""
SOME = 0.005
"""Share of ignored pixels that is worth a word."""

Shares = Mapping[str, Mapping[str, float]]
"""By split, then by class: its share of the pixels that count."""


def mask_findings(
    rows: Sequence[Row],
    kept: str,
    answers: MaskConfusions | None = None,
    shares: Shares | None = None,
    ignored: float | None = None,
) -> list[str]:
    """Sentences on a run: ``rows`` are its `metrics.csv`, ``kept`` its `checkpoint.monitor`.

    ``ignored`` is the share of the validation pixels that do not count.
    """
    return [
        *of_epochs(rows, kept),
        *(of_classes(answers) if answers is not None else ()),
        *(of_images(answers) if answers is not None else ()),
        *of_pixels(shares or {}, ignored),
    ]


def of_epochs(rows: Sequence[Row], kept: str) -> Iterator[str]:
    """What loss and mean IoU say over the epochs."""
    by_loss, by_miou = best_epoch(rows, "loss"), best_epoch(rows, "miou")
    if by_loss is None or by_miou is None:
        return
    train, val = ({row["epoch"]: row for row in rows if row["split"] == split} for split in ("train", "val"))
    last, chosen = max(val), best_epoch(rows, kept)
    if by_loss != by_miou and chosen is not None:
        yield (
            f"Best by loss is epoch {by_loss + 1} (mean IoU {val[by_loss]['miou']:.2%}), best by mean IoU is epoch"
            f" {by_miou + 1} ({val[by_miou]['miou']:.2%}); the weights of epoch {chosen + 1} were kept"
            f" (checkpoint.monitor = {kept})."
        )
    if "miou" in train.get(last, {}):
        gap = train[last]["miou"] - val[last]["miou"]
        if gap > GAP:
            yield (
                f"In the last epoch mean IoU is {100 * gap:.1f} points higher on the training windows than on the"
                " validation images: the network knows its training images better than new ones. More images, stronger"
                " views, or fewer epochs would help."
            )
    if by_miou == last >= 2:
        yield "Mean IoU was highest in the last epoch: more epochs may help."


def of_classes(answers: MaskConfusions) -> Iterator[str]:
    """Classes that are not found, that are rare, that are taken for each other."""
    whole, classes = answers.whole, answers.palette.classes
    pixels, predicted = whole.sum(axis=1), whole.sum(axis=0)
    if np.count_nonzero(predicted) == 1 < np.count_nonzero(pixels):
        only = classes[int(predicted.argmax())]
        yield (
            f"Every pixel is called {only}: the network tells no classes apart. More epochs, another optimizer.lr or"
            " pre-trained weights may help."
        )
        return
    yield from _missed(classes, whole)
    made_up = [name for name, of, called in zip(classes, pixels, predicted, strict=True) if called and not of]
    if made_up:
        yield (
            f"{_listed(made_up)}: in no validation mask, but predicted for {predicted[pixels == 0].sum():,} pixels. The"
            f" IoU is 0, and {_counts(made_up)} in the mean."
        )
    absent = [name for name, of, called in zip(classes, pixels, predicted, strict=True) if not (of or called)]
    if absent:
        yield (
            f"{_listed(absent)}: neither in the validation masks nor in any answer. No IoU can be told, and the mean is"
            " without."
        )
    for pair in confused_pairs(whole, classes)[:2]:
        if pair.of_wrong > MUCH:
            yield (
                f"{pair.truth} taken for {pair.predicted} makes {pair.of_wrong:.0%} of all wrong pixels;"
                f" {_share(pair.of_class)} of {pair.truth} is lost so."
            )
    yield from _rare(classes, pixels, iou(whole))


def _missed(classes: Sequence[str], whole: Counts) -> Iterator[str]:
    """Classes that are never predicted, and those that are nearly never found."""
    pixels, predicted = whole.sum(axis=1), whole.sum(axis=0)
    recall = whole.diagonal() / np.maximum(pixels, 1)
    never = (pixels > 0) & (predicted == 0)
    hardly = (predicted > 0) & (pixels > 0) & (recall < MISSED)
    for missed, said in ((never, "never predicted"), (hardly, "nearly never found")):
        if missed.any():
            names = [name for name, each in zip(classes, missed, strict=True) if each]
            yield (
                f"{_listed(names)} {'is' if len(names) == 1 else 'are'} {said}: {whole.diagonal()[missed].sum():,} of"
                f" {pixels[missed].sum():,} pixels are right ({_share(pixels[missed].sum() / whole.sum())} of all"
                " pixels)."
            )
    if ((never | hardly) & (pixels < whole.sum() / len(classes))).any():
        yield "Rare classes gain from loss.class_weights=balanced, loss.dice_weight=1 or loss.name=focal."


def _rare(classes: Sequence[str], pixels: Counts, ious: Floats) -> Iterator[str]:
    """Whether classes with less than an equal part of the pixels are labeled worse than those with more."""
    equal = pixels.sum() / np.count_nonzero(pixels)
    rare, frequent = (pixels > 0) & (pixels < equal), pixels >= equal
    if not rare.any():  # nor is any class then more frequent than the others
        return
    low, high = float(ious[rare].mean()), float(ious[frequent].mean())
    if high - low > APART:
        yield (
            f"Rare classes are labeled worse: mean IoU {low:.1%} over {_listed(np.array(classes)[rare].tolist())}"
            f" ({_share(pixels[rare].sum() / pixels.sum())} of the pixels), {high:.1%} over"
            f" {_listed(np.array(classes)[frequent].tolist())}."
        )


def of_images(answers: MaskConfusions) -> Iterator[str]:
    """Whether the mistakes lie in few images, and whether another convention would give another figure."""
    of_set, of_images = float(mean_iou(answers.whole)), answers.mean_of_images
    if abs(of_images - of_set) > APART:
        yield (
            f"The mean of each image's own IoU is {of_images:.2%}, the figure over all images at once {of_set:.2%}:"
            " compare with others only by the same convention."
        )
    wrong = np.sort(answers.wrong)[::-1]
    half = int(np.searchsorted(np.cumsum(wrong), wrong.sum() / 2) + 1)
    if wrong.sum() and half < FEW * len(wrong):
        yield (
            f"Half of all wrong pixels lie in {half} of {len(wrong)} images: look at these first, their masks may be"
            " what is wrong."
        )


def of_pixels(shares: Shares, ignored: float | None) -> Iterator[str]:
    """What the masks hold: classes that training never sees, and pixels that count nowhere."""
    train, val = shares.get("train", {}), shares.get("val", {})
    unseen = [name for name in val if train and val[name] and not train.get(name)]
    if unseen:
        yield f"{_listed(unseen)}: in validation masks, but in no training mask, from which alone it could be learned."
    if ignored is not None and ignored > SOME:
        yield f"{_share(ignored)} of the validation pixels are ignored: they count in no figure."


def _share(value: float) -> str:
    """A share that may be small: '62%', '0.15%'."""
    return f"{value:.0%}" if value >= 0.095 else f"{100 * value:.2g}%"


def _counts(names: Sequence[str]) -> str:
    return "it counts" if len(names) == 1 else "they count"


def _listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
