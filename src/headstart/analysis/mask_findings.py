"""Findings of a segmentation run in sentences: rare and missed classes, confusion, outlying images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from headstart.analysis.epochs import MEAN_IOU, Advice, epochs_advice, of_epochs
from headstart.files import Row
from headstart.metrics.bootstrap import Floats
from headstart.metrics.segmentation import Counts, confused_pairs, iou, mean_iou, phantoms
from headstart.runs.confusion import MaskConfusions

LOW_RECALL = 0.05
"""A class is missed when its recall is below this."""
CONFUSED = 0.25
"""A pair of classes is a finding when it makes more than this share of all wrong pixels."""
IOU_GAP = 0.1
"""Two IoUs differ notably when they differ by more than this."""
CONCENTRATED = 0.2
"""Errors are concentrated when half of them lie in less than this share of the images."""
NOTABLE_IGNORED = 0.005
"""Share of ignored pixels that is a finding."""

Shares = Mapping[str, Mapping[str, float]]
"""By split, then by class: its share of the pixels that are not ignored."""


def mask_findings(
    rows: Sequence[Row],
    monitor: str,
    confusions: MaskConfusions | None = None,
    shares: Shares | None = None,
    ignored: float | None = None,
) -> list[str]:
    """All findings of a segmentation run: ``rows`` are its `metrics.csv`, ``monitor`` its `checkpoint.monitor`.

    ``ignored`` is the share of the validation pixels that are ignored.
    """
    return [
        *of_epochs(rows, monitor, MEAN_IOU),
        *(of_classes(confusions, epochs_advice(rows, monitor, MEAN_IOU)) if confusions is not None else ()),
        *(of_images(confusions) if confusions is not None else ()),
        *of_pixels(shares or {}, ignored),
    ]


def of_classes(confusions: MaskConfusions, advice: Advice | None = None) -> Iterator[str]:
    """Classes that are missed, rare, absent or confused with each other; ``advice`` is that of `epochs_advice`."""
    whole, classes = confusions.whole, confusions.palette.classes
    pixels, predicted = whole.sum(axis=1), whole.sum(axis=0)
    if np.count_nonzero(predicted) == 1 < np.count_nonzero(pixels):
        only = classes[int(predicted.argmax())]
        helps = "Another" if advice == "fewer" else "More epochs, another"
        yield (
            f"Every pixel is predicted as {only}: the network does not separate the classes. {helps} optimizer.lr or"
            " pre-trained weights may help."
        )
        return
    yield from _missed(classes, whole)
    phantom = of_phantoms(confusions)
    if phantom:
        yield phantom
    absent = [name for name, of, called in zip(classes, pixels, predicted, strict=True) if not (of or called)]
    if absent:
        yield (
            f"{_listed(absent)}: neither in the validation masks nor predicted. The IoU is undefined and not part of"
            " the mean."
        )
    for pair in confused_pairs(whole, classes)[:2]:
        if pair.of_wrong > CONFUSED:
            yield (
                f"{pair.truth} predicted as {pair.predicted} makes {pair.of_wrong:.0%} of all wrong pixels, and"
                f" {_share(pair.of_class)} of the pixels of {pair.truth}."
            )
    yield from _rare(classes, pixels, iou(whole))


def of_phantoms(confusions: MaskConfusions) -> str:
    """What the classes cost that are predicted, but in no validation mask; empty without any."""
    found = phantoms(confusions.whole)
    if not found.classes:
        return ""
    names = [confusions.palette.classes[each] for each in found.classes]
    pixels = "1 pixel" if found.pixels == 1 else f"{found.pixels:,} pixels"
    of_them = "that class, so that its IoU is" if len(names) == 1 else "these classes, so that their IoU is"
    return (
        f"{pixels} called {_listed(names)} {'costs' if found.pixels == 1 else 'cost'} {100 * found.cost:.1f} points of"
        f" mean IoU: no validation mask has {of_them} 0, and part of the mean."
    )


def _missed(classes: Sequence[str], whole: Counts) -> Iterator[str]:
    """Classes that are never predicted, or with a recall near 0."""
    pixels, predicted = whole.sum(axis=1), whole.sum(axis=0)
    recall = whole.diagonal() / np.maximum(pixels, 1)
    never = (pixels > 0) & (predicted == 0)
    hardly = (predicted > 0) & (pixels > 0) & (recall < LOW_RECALL)
    for missed, said in ((never, "never predicted"), (hardly, "nearly always missed")):
        if missed.any():
            names = [name for name, each in zip(classes, missed, strict=True) if each]
            yield (
                f"{_listed(names)} {'is' if len(names) == 1 else 'are'} {said}: {whole.diagonal()[missed].sum():,} of"
                f" {pixels[missed].sum():,} pixels are correct ({_share(pixels[missed].sum() / whole.sum())} of all"
                " pixels)."
            )
    if ((never | hardly) & (pixels < whole.sum() / len(classes))).any():
        yield "For rare classes try loss.class_weights=balanced, loss.dice_weight=1 or loss.name=focal."


def _rare(classes: Sequence[str], pixels: Counts, ious: Floats) -> Iterator[str]:
    """Whether classes with less than an equal share of the pixels have a lower IoU than those with more."""
    equal = pixels.sum() / np.count_nonzero(pixels)
    rare, frequent = (pixels > 0) & (pixels < equal), pixels >= equal
    if not rare.any():  # nor is any class then more frequent than the others
        return
    low, high = float(ious[rare].mean()), float(ious[frequent].mean())
    if high - low > IOU_GAP:
        yield (
            f"Rare classes score lower: mean IoU {low:.1%} over {_listed(np.array(classes)[rare].tolist())}"
            f" ({_share(pixels[rare].sum() / pixels.sum())} of the pixels), {high:.1%} over"
            f" {_listed(np.array(classes)[frequent].tolist())}."
        )


def of_images(confusions: MaskConfusions) -> Iterator[str]:
    """Whether errors are concentrated in few images, and whether another convention of mean IoU differs notably."""
    of_set, of_images = float(mean_iou(confusions.whole)), confusions.mean_of_images
    if abs(of_images - of_set) > IOU_GAP:
        yield (
            f"The mean of each image's own IoU is {of_images:.2%}, mean IoU over all images together {of_set:.2%}:"
            " compare with other results by the same convention only."
        )
    wrong = np.sort(confusions.wrong)[::-1]
    half = int(np.searchsorted(np.cumsum(wrong), wrong.sum() / 2) + 1)
    if wrong.sum() and half < CONCENTRATED * len(wrong):
        yield (f"Half of all wrong pixels lie in {half} of {len(wrong)} images: check the ground truth of these first.")


def of_pixels(shares: Shares, ignored: float | None) -> Iterator[str]:
    """Classes that are missing from training, and ignored pixels."""
    train, val = shares.get("train", {}), shares.get("val", {})
    unseen = [name for name in val if train and val[name] and not train.get(name)]
    if unseen:
        yield f"{_listed(unseen)}: in validation masks, but in no training mask, so that it cannot be learned."
    if ignored is not None and ignored > NOTABLE_IGNORED:
        yield f"{_share(ignored)} of the validation pixels are ignored in all metrics."


def _share(value: float) -> str:
    """A share that may be small: '62%', '0.15%'."""
    return f"{value:.0%}" if value >= 0.095 else f"{100 * value:.2g}%"


def _listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
