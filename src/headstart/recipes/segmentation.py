"""Schema of the parts of a recipe that belong to segmentation alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from headstart.recipes.schema import Part


class Decoder(Part):
    """The segmentation decoder: feature maps to class logits per pixel."""

    name: Literal["fcn32s", "deeplabv3", "deeplabv3plus"] = "deeplabv3plus"
    """FCN-32s (Long et al. 2015), DeepLabV3 (Chen et al. 2017) or DeepLabV3+ (Chen et al. 2018)."""
    output_stride: Literal[8, 16, 32] = 16
    """Stride of the last feature map, in pixels of the image: larger strides become dilation where the backbone can."""
    channels: Annotated[int, Field(gt=0)] = 256
    """Channels of the decoder."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Dropout in the decoder (FCN-32s: after fc6 and fc7)."""
    aux_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the auxiliary classifier's loss (`deeplabv3` only); 0: no auxiliary classifier."""

    @model_validator(mode="after")
    def _check_aux_weight(self) -> Decoder:
        if self.aux_weight and self.name != "deeplabv3":
            raise ValueError(f"decoder.aux_weight: expected 0 with decoder.name {self.name}, found {self.aux_weight}")
        return self


class Loss(Part):
    """The loss of segmentation."""

    name: Literal["cross-entropy", "focal"] = "cross-entropy"
    """Cross-entropy, or focal loss (Lin et al. 2017), which down-weights easy pixels."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """Focusing parameter gamma of the focal loss; 0 is cross-entropy."""
    class_weights: Literal["equal", "balanced"] = "equal"
    """Equal weights, or each class by the inverse square root of its share of the training pixels."""
    dice_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a soft Dice loss (Milletari et al. 2016) added to the other; 0: none."""
