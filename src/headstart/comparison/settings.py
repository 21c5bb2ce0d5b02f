"""The settings A to G: what the backbone starts from, and what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Pretraining = Literal["none", "supervised", "self-supervised", "both"]


@dataclass(frozen=True)
class Setting:
    """One way to train the task: where the backbone's weights come from, and whether it is frozen."""

    letter: str
    phrase: str
    """What it is, in tables and sentences: 'fine-tune supervised'."""
    start: str
    """What the backbone starts from."""
    pretraining: Pretraining
    frozen: bool
    """Whether only the head or decoder is trained."""

    @property
    def name(self) -> str:
        """'B (fine-tune supervised)', for sentences."""
        return f"{self.letter} ({self.phrase})"

    @property
    def given(self) -> bool:
        """Whether it starts from weights that were learned elsewhere: the recipe's, or those of a corpus."""
        return self.pretraining in ("supervised", "both")


_ON_IMAGES = "self-supervised weights (learned on the unlabeled images)"
_BOTH = "supervised weights, then self-supervised on the unlabeled images"

SETTINGS: Mapping[str, Setting] = {
    each.letter: each
    for each in (
        Setting("A", "from scratch", "nothing (random)", "none", False),
        Setting("B", "fine-tune supervised", "supervised weights", "supervised", False),
        Setting("C", "fine-tune self-supervised", _ON_IMAGES, "self-supervised", False),
        Setting("D", "probe supervised", "supervised weights", "supervised", True),
        Setting("E", "probe self-supervised", _ON_IMAGES, "self-supervised", True),
        Setting("F", "continued pre-training", _BOTH, "both", False),
        Setting("G", "the floor", "nothing (random)", "none", True),
    )
}
"""The settings, by the letters of the report that this project reproduces."""
