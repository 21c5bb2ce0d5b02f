"""The parts of a recipe: what can be set, what it means, and which values it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(ge=8, le=4096)]
Rgb = Annotated[tuple[float, float, float], Strict(False)]
Deviations = Annotated[tuple[Positive, Positive, Positive], Strict(False)]


class Part(BaseModel):
    """What all parts of a recipe have in common: frozen, strict, no unknown fields, every number finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Data(Part):
    """How image files become a table of square pictures."""

    image_size: Side = 224
    """Side of the square pictures, in pixels. They are decoded once, at this size."""
    resize: Literal["squash", "crop", "pad", "keep"] = "squash"
    """Reach the square by squashing, by cropping the center, or by padding with black. `keep`: images keep their size,
    training sees random windows of `size`, and validation the whole of each; for tasks that answer with masks."""
    ignore_classes: Annotated[tuple[str, ...], Strict(False)] = ()
    """Classes of a mask whose pixels count neither in training nor in any figure, by name or by index."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the images held out when the data has no validation split of its own."""
    group_regex: str | None = None
    """Regular expression whose first group (or whole match) in the path names an image's source."""
    skip_unreadable: bool = False
    """Leave out files that cannot be decoded, instead of stopping at them."""
    label_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training images whose labels are used, of every class alike (a label fraction)."""
    validate_on: Literal["val", "train"] = "val"
    """Validate on the validation images, or on a part held out of the training images, to choose settings by."""
    exclude_overlap_with: str | None = None
    """A data folder whose held-out images, and near duplicates of them, are left out of the training images."""


class Augment(Part):
    """The random changes made to a training image each time it is seen; validation sees none of them."""

    mean: Rgb = (0.485, 0.456, 0.406)
    """Subtracted from red, green and blue, on the scale 0 to 1."""
    std: Deviations = (0.229, 0.224, 0.225)
    """What red, green and blue are then divided by."""
    hflip: Share = 0.5
    """Probability of a horizontal flip."""
    vflip: Share = 0.0
    """Probability of a vertical flip."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation drawn from plus or minus this many degrees; corners are filled with black."""
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    """How rotated and cropped pixels are read."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest share of the area that a random crop keeps (aspect ratio 3/4 to 4/3); 1 crops nothing."""
    zoom: Annotated[tuple[Positive, Positive], Strict(False)] = (1.0, 1.0)
    """Least and greatest magnification of a training window (data.resize=keep); below 1 it shows more than `size`."""
    brightness: Share = 0.0
    """Brightness is multiplied by a draw from 1 minus this to 1 plus this."""
    contrast: Share = 0.0
    """Contrast, likewise."""
    saturation: Share = 0.0
    """Saturation, likewise."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """The hue is turned by a draw from minus this to plus this; 1 is once round the color wheel."""
    jitter: Share = 1.0
    """Probability that brightness, contrast, saturation and hue change at all."""
    grayscale: Share = 0.0
    """Probability that all color goes."""
    blur: Share = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Annotated[tuple[Positive, Positive], Strict(False)] = (0.1, 2.0)
    """Least and greatest standard deviation of the blur, in pixels of the view."""
    blur_kernel: Annotated[int, Field(ge=3)] = 3
    """Width of the blur in pixels, odd."""
    solarize: Share = 0.0
    """Probability that values in the upper half of the scale are inverted."""
    sizes: Annotated[tuple[Side, ...], Strict(False)] = ()
    """Sides of the training images, spread evenly over the epochs (low resolution first); empty: data.image_size."""

    @model_validator(mode="after")
    def _ranges_are_possible(self) -> Augment:
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel: expected an odd number, found {self.blur_kernel}")
        if self.blur_sigma[0] > self.blur_sigma[1]:
            raise ValueError(f"blur_sigma: expected the least and the greatest, found {self.blur_sigma}")
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"zoom: expected the least and the greatest, found {self.zoom}")
        return self


class Backbone(Part):
    """The feature extractor and where its numbers come from."""

    name: str = "resnet18.tv_in1k"
    """Any name that `timm.list_models()` knows."""
    weights: str = "none"
    """`none`, `imagenet`, `imagenet-lite`, a run folder, or a weights file (safetensors, or a plain state dict)."""
    freeze: bool = False
    """Keep the backbone as it is and train the head alone (probe), or train both (fine-tune)."""


class Probe(Part):
    """How a head is trained on a frozen backbone (backbone.freeze=true)."""

    method: Literal["sgd", "logistic"] = "sgd"
    """The recipe's own steps and optimizer, or multinomial logistic regression, solved."""
    cache_features: bool = True
    """Run the backbone once over the images, and train on what it saw; else anew in every step."""
    views: Annotated[int, Field(ge=0)] = 0
    """With `once`: so many random views of each training image, taken in turn; 0: the image as it is."""


class Head(Part):
    """The layers between the features and the classes."""

    hidden: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False)] = ()
    """Widths of the hidden layers, each followed by ReLU and dropout; empty: one linear layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout after each hidden layer; with no hidden layer, before the linear one."""


class Decoder(Part):
    """What turns the backbone's maps into a class for every pixel."""

    name: Literal["fcn32s", "deeplabv3", "deeplabv3plus"] = "deeplabv3plus"
    """Long et al. 2015, Chen et al. 2017, or Chen et al. 2018: the last with separable convolutions and fine maps."""
    output_stride: Literal[8, 16, 32] = 16
    """Pixels of the image per pixel of the backbone's last map: strides beyond it become dilation, where it can be."""
    channels: Annotated[int, Field(gt=0)] = 256
    """Width of the decoder's own maps."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Dropout within the decoder (of FCN-32s: after either of its two wide layers)."""
    aux_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the auxiliary classifier's loss (`deeplabv3` only); 0: no auxiliary classifier."""

    @model_validator(mode="after")
    def _auxiliary_is_of_deeplabv3(self) -> Decoder:
        if self.aux_weight and self.name != "deeplabv3":
            raise ValueError(f"decoder.aux_weight: expected 0 with decoder.name {self.name}, found {self.aux_weight}")
        return self


class Loss(Part):
    """What a pixel's error costs."""

    name: Literal["cross-entropy", "focal"] = "cross-entropy"
    """Cross-entropy, or focal loss (Lin et al. 2017), which heeds what is right already less."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """How much less."""
    class_weights: Literal["equal", "balanced"] = "equal"
    """Every pixel alike, or each class by the inverse square root of its share of the training pixels."""
    dice_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the soft Dice loss (Milletari et al. 2016), added to the other."""


class Byol(Part):
    """What Grill et al. 2020 put on the backbone, and how their target network follows it."""

    projection_dim: Annotated[int, Field(gt=0)] = 256
    """Width of what the projector and the predictor put out."""
    hidden_dim: Annotated[int, Field(gt=0)] = 4096
    """Width of the one hidden layer of either."""
    ema_decay: Share = 0.99
    """Share of itself that the target network keeps in a step (the paper's tau); the rest is the online network's."""
    decay_schedule: Literal["constant", "cosine"] = "constant"
    """`cosine` takes the decay to 1 at the end of the training, as the paper does."""


class Train(Part):
    """How long and on how much at once."""

    epochs: Annotated[int, Field(gt=0)] = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(gt=1)] = 32
    """Images per step, over all processes together."""
    fixed_steps: bool = True
    """With a label fraction, an epoch has as many steps as with all labels; else it is one pass over fewer images."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread over all classes (Szegedy et al. 2016)."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic, in Lightning Fabric's words."""


class Validation(Part):
    """How the validation images are run."""

    batch_size: Annotated[int, Field(gt=0)] = 32
    """Images per validation or prediction step."""


class Optimizer(Part):
    """The update rule."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    """Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), or SGD with momentum 0.9."""
    lr: Positive = 1e-3
    """Learning rate of the backbone."""
    head_lr_factor: Positive = 1.0
    """The head's learning rate is `lr` times this."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay; never applied to biases and normalization when the optimizer is `adamw`."""


class Schedule(Part):
    """What the learning rate is multiplied by, over time."""

    name: Literal["constant", "linear", "cosine"] = "cosine"
    """What follows the warm-up: nothing, a straight line to zero, or half a cosine to zero."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training during which the factor rises from zero to one in a straight line."""
    per: Literal["epoch", "step"] = "step"
    """How often the factor changes."""


class Checkpoint(Part):
    """What is kept, and when."""

    monitor: Literal["val_loss", "val_accuracy", "val_miou", "last"] = "val_loss"
    """`weights/best` are those with the lowest loss, highest accuracy or highest mean IoU (of masks) on the validation
    images, or the last ones."""
    every_minutes: Positive = 10.0
    """A checkpoint to resume from is saved after each epoch (of a head on stored features every five seconds), and
    within an epoch after this long."""


class Analysis(Part):
    """At which epochs what the network sees is stored, so that it can be looked at over time."""

    epochs: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False)] = ()
    """Counted from 1; empty: the first, the middle and the last."""
    train_samples: Annotated[int, Field(ge=0)] = 1000
    """So many training images are looked at beside all validation images."""
    save_images: bool = True
    """Keep small copies of the images that are looked at, for the report."""
    masks: Annotated[tuple[str, ...], Strict(False)] = ()
    """Validation images whose predicted masks are kept at these epochs, by name (`0013`); empty: the first few."""


class Expect(Part):
    """The number this recipe is expected to reach, so that a reader can tell a success from a mishap."""

    metric: str
    value: float
    source: str
