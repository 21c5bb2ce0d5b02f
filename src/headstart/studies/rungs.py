"""What a budget buys: sizes of studies, from the least that is worth its time to nearly the whole.

Three seeds come before longer trainings: with two, the deviation of one pair of numbers stands for that of all seeds,
and where seeds dominate an interval is 3.6 times as wide (Student's t with one and with two degrees of freedom).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """A size of study."""

    side: int
    """Side of the images, in pixels; for masks, of the windows that are trained on."""
    epochs: int
    images: int
    """Images per epoch, at most."""
    fractions: tuple[float, ...]
    """The label fractions of the plan that are nearest to these are kept."""
    seeds: int
    tuned: bool = True
    """Whether there is time to tune each setting's learning rate."""
    views: int = 0
    """Windows of each image that a decoder on a frozen backbone is trained on; 0: whole images."""


LADDER = (
    Rung(48, 1, 640, (1.0,), 2),
    Rung(64, 1, 960, (1.0,), 3),
    Rung(64, 2, 1280, (1.0,), 3),
    Rung(64, 2, 1280, (0.1, 1.0), 3),
    Rung(96, 2, 1280, (0.1, 1.0), 3),
    Rung(96, 2, 2560, (0.1, 1.0), 3),
    Rung(96, 3, 3200, (0.1, 0.25, 1.0), 3),
    Rung(128, 4, 4800, (0.1, 0.25, 1.0), 3),
    Rung(128, 5, 9600, (0.05, 0.1, 0.25, 0.5, 1.0), 3),
    Rung(160, 6, 19200, (0.05, 0.1, 0.25, 0.5, 1.0), 3),
)
"""For labels. Each rung costs about 1.5 to 3 times the last. A second epoch comes before a second label fraction: on
solar cells a fine-tuning has 77 % after 1,200 images, below the probe that it starts from, and 81 % after 2,600. Sides
below 64 px save little, as a step of small images is mostly overhead, and cost much: a probe of photographs of clothing
has 51 % at 32 px, 69 at 48, 72 at 64."""
MASK_LADDER = (
    Rung(96, 2, 120, (1.0,), 2, tuned=False, views=2),
    Rung(96, 4, 120, (1.0,), 3, tuned=False, views=4),
    Rung(128, 4, 160, (1.0,), 3, tuned=False, views=4),
    Rung(128, 6, 240, (0.25, 1.0), 3, tuned=False, views=4),
    Rung(160, 8, 320, (0.25, 1.0), 3, views=4),
    Rung(192, 12, 480, (0.25, 1.0), 3, views=6),
    Rung(256, 16, 960, (0.1, 0.25, 1.0), 3, views=8),
    Rung(256, 24, 1920, (0.05, 0.1, 0.25, 0.5, 1.0), 3),
)
"""For masks: a window costs many times a small image, and a learning rate as much as a trial."""
