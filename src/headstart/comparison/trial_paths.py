"""Names of the trials of a study, and where their runs lie in its folder."""

from __future__ import annotations

FOLDS = "folds"
"""Subfolder of a cross-validated study with a study for each fold."""


def trial_name(setting: str, fraction: float, seed: int) -> str:
    """The name of a trial's run and of its folder."""
    return f"{setting}-{fraction:g}-seed{seed}"


def trial_path(setting: str, fraction: float, seed: int, folds: int = 1) -> str:
    """The run folder of a trial within the study's folder, with ``/``; with ``folds``, that of the first."""
    return f"{'' if folds == 1 else f'{FOLDS}/1/'}trials/{trial_name(setting, fraction, seed)}"
