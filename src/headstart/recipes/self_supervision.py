"""Schema of the parts of a recipe that belong to one self-supervised method each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.recipes.schema import Part, Positive, Share


class Byol(Part):
    """BYOL (Grill et al. 2020): projector, predictor and the EMA of the target network."""

    projection_dim: Annotated[int, Field(gt=0)] = 256
    """Output dimension of the projector and the predictor."""
    hidden_dim: Annotated[int, Field(gt=0)] = 4096
    """Hidden dimension of the projector and the predictor."""
    ema_decay: Share = 0.99
    """EMA decay of the target network per step (tau in the paper); 1 would never update it."""
    decay_schedule: Literal["constant", "cosine"] = "constant"
    """`cosine` raises the decay to 1 by the end of training, as in the paper."""


class VicReg(Part):
    """VICReg (Bardes et al. 2022): projector, and the weights of the three terms of its loss."""

    projection_dim: Annotated[int, Field(gt=0)] = 8192
    """Width of the projector's three layers."""
    invariance: Annotated[float, Field(ge=0)] = 25.0
    """Weight of the mean squared distance of two views' projections (lambda in the paper)."""
    variance: Positive = 25.0
    """Weight of the hinge on each dimension's standard deviation (mu), without which the network collapses."""
    covariance: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the squared covariances between dimensions (nu)."""


class EmpSsl(Part):
    """EMP-SSL (Tong et al. 2023): crops, projector, and the two terms of its loss."""

    crops: Annotated[int, Field(ge=2)] = 20
    """Crops of each image in a step. `augment.crop` and `crop_max` say how much of it they show, `augment.sizes` how
    large they are."""
    projection_dim: Annotated[int, Field(gt=0)] = 1024
    """Output dimension of the projector."""
    hidden_dim: Annotated[int, Field(gt=0)] = 4096
    """Width of the projector's two hidden layers."""
    invariance: Annotated[float, Field(ge=0)] = 200.0
    """Weight of the similarity of an image's crops (lambda in the paper), relative to the coding rate."""
    epsilon: Positive = 0.2
    """Precision of the coding rate."""


class FastSiam(Part):
    """FastSiam (Pototzky et al. 2022): views, projector and predictor."""

    views: Annotated[int, Field(ge=2)] = 4
    """Views of each image in a step; the target of each is the mean of the others. 2: SimSiam."""
    projection_dim: Annotated[int, Field(gt=0)] = 2048
    """Width of the projector's three layers, and of the predictor's output."""
    hidden_dim: Annotated[int, Field(gt=0)] = 512
    """Hidden dimension of the predictor."""
