"""Schema of a recipe: its fields, their meaning, defaults and ranges."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(ge=8, le=4096)]
Band = Annotated[int, Field(ge=1)]
Fold = Annotated[int, Field(ge=1)]
Rgb = Annotated[tuple[float, float, float], Strict(False)]
Deviations = Annotated[tuple[Positive, Positive, Positive], Strict(False)]


class Part(BaseModel):
    """Base of all parts of a recipe: frozen, strict, no unknown fields, every number finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Data(Part):
    """How the images are read, resized and split."""

    image_size: Side = 224
    """Side of the square images, in pixels; of the training windows with `resize = "keep"`."""
    resize: Literal["squash", "crop", "pad", "keep"] = "squash"
    """Resize to a square by squashing, cropping the center, or padding with black. `keep`: images keep their size,
    training uses random windows of `image_size`, validation whole images (segmentation only)."""
    range: Annotated[tuple[float, float], Strict(False)] | None = None
    """Values that become 0 and 255 in images of more than 8 bits, such as [0, 4095]; default: found in the training
    images. Images of 8 bits stay as they are."""
    bands: Annotated[tuple[Band, Band, Band], Strict(False)] | None = None
    """Bands that become red, green and blue, counted from 1, such as [4, 3, 2]; default: images have one or three."""
    max_pixels: Annotated[int, Field(gt=0)] = 178_956_970
    """Largest image to decode at full size, in pixels; a larger JPEG is decoded at a fraction of its size."""
    ignore_classes: Annotated[tuple[str, ...], Strict(False)] = ()
    """Classes of the masks to ignore in the loss and all metrics, by name or number."""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of the images held out where the dataset has no validation split."""
    fold: Annotated[tuple[Fold, Fold], Strict(False)] | None = None
    """Validate on one part of many, such as [1, 5] for the first of five, in place of `val_fraction`, where the dataset
    has no validation split: each image is in one part (cross-validation)."""
    group_regex: str | None = None
    """Regular expression on the path whose first group (or whole match) is an image's source, such as a patient or
    video; images of one source stay in one split."""
    skip_unreadable: bool = False
    """Skip files that cannot be decoded, instead of stopping with an error."""
    label_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of the training labels to use, stratified by class."""
    validate_on: Literal["val", "train"] = "val"
    """Validate on the validation images, or on a holdout of the labeled training images (for hyper-parameter
    selection)."""
    layout: Literal["auto", "table", "pairs", "folders", "names", "none"] = "auto"
    """How to read the folder where it could be read in two ways: a table of labels, images with masks, a folder per
    class, names such as hat_1.jpg, or images without labels."""
    columns: str | None = None
    """Which columns of a table are what: `file=id,label=breed`, also `mask`, `split` and `group`."""
    exclude_overlap_with: str | None = None
    """A dataset whose held-out images, and near duplicates of them, are removed from the training images."""

    @field_validator("fold")
    @classmethod
    def _check_fold(cls, found: tuple[int, int] | None) -> tuple[int, int] | None:
        if found is not None and not 1 <= found[0] <= found[1] >= 2:
            raise ValueError("a part from 1 on, then how many there are, at least 2")
        return found

    @field_validator("range")
    @classmethod
    def _check_range(cls, found: tuple[float, float] | None) -> tuple[float, float] | None:
        if found is not None and found[0] >= found[1]:
            raise ValueError("the lowest value, then the highest")
        return found


class Augment(Part):
    """Random augmentation of the training images, anew in every epoch, and normalization. None on validation images."""

    mean: Rgb = (0.485, 0.456, 0.406)
    """Mean of red, green and blue to subtract, on the scale 0 to 1."""
    std: Deviations = (0.229, 0.224, 0.225)
    """Standard deviation of red, green and blue to divide by, on the scale 0 to 1."""
    hflip: Share = 0.5
    """Probability of a horizontal flip."""
    vflip: Share = 0.0
    """Probability of a vertical flip."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Maximum rotation in degrees, either way; corners are filled with black."""
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    """Interpolation of rotations and crops."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest fraction of the area that a random crop keeps (aspect ratio 3/4 to 4/3); 1: no cropping."""
    crop_max: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Largest fraction of the area that a random crop keeps."""
    zoom: Annotated[tuple[Positive, Positive], Strict(False)] = (1.0, 1.0)
    """Minimum and maximum magnification of training windows (data.resize=keep); below 1 they show a larger area."""
    brightness: Share = 0.0
    """Brightness jitter: a factor from 1 minus this to 1 plus this."""
    contrast: Share = 0.0
    """Contrast jitter, likewise."""
    saturation: Share = 0.0
    """Saturation jitter, likewise."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Hue jitter: a shift from minus this to plus this, in turns of the color wheel."""
    jitter: Share = 1.0
    """Probability of the jitter of brightness, contrast, saturation and hue as a whole."""
    grayscale: Share = 0.0
    """Probability of conversion to grayscale."""
    blur: Share = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Annotated[tuple[Positive, Positive], Strict(False)] = (0.1, 2.0)
    """Minimum and maximum standard deviation of the blur, in pixels of the augmented image."""
    blur_kernel: Annotated[int, Field(ge=3)] = 3
    """Width of the blur kernel in pixels, odd."""
    solarize: Share = 0.0
    """Probability of solarization: values in the upper half of the scale are inverted."""
    sizes: Annotated[tuple[Side, ...], Strict(False)] = ()
    """Progressive resizing: sides of the training images, spread evenly over the epochs; empty: data.image_size."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Augment:
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel: expected an odd number, found {self.blur_kernel}")
        if self.blur_sigma[0] > self.blur_sigma[1]:
            raise ValueError(f"blur_sigma: expected the minimum, then the maximum, found {self.blur_sigma}")
        if self.crop > self.crop_max:  # without cropping, both are 1
            raise ValueError(f"crop_max: expected at least crop ({self.crop}), found {self.crop_max}")
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"zoom: expected the minimum, then the maximum, found {self.zoom}")
        return self


class Backbone(Part):
    """The feature extractor and its initial weights."""

    name: str = "resnet18.tv_in1k"
    """Any model name of timm (`timm.list_models()`)."""
    weights: str = "none"
    """`none` (random), `imagenet`, `imagenet-lite`, a run folder, or a file (safetensors, a PyTorch state dict)."""
    freeze: bool = False
    """Freeze the backbone and train the head alone (probe), or train both (fine-tune)."""
    freeze_stages: Annotated[int, Field(ge=0)] = 0
    """In fine-tuning: freeze the stem and this many first stages, which take most of the time of a step; 0: none."""
    freeze_batchnorm: bool = False
    """In fine-tuning: batch normalization with the statistics that were loaded, not those of each batch. Random weights
    have none, and are trained as without it."""


class Probe(Part):
    """Training of a head on a frozen backbone (backbone.freeze=true)."""

    method: Literal["sgd", "logistic"] = "sgd"
    """The recipe's own optimizer and steps, or multinomial logistic regression solved to convergence."""
    cache_features: bool = True
    """Encode all images once and train the head on the stored features; else run the backbone in every step."""
    share_features: bool = False
    """With `cache_features`: encode all training images, also those without a label fraction, so that the probes of a
    study on one backbone share one pass."""
    views: Annotated[int, Field(ge=0)] = 0
    """With `cache_features`: augmented views to store of each training image, in turn; 0: one without augmentation."""


class Head(Part):
    """The layers between the features and the classes."""

    hidden: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False)] = ()
    """Widths of the hidden layers, each followed by ReLU and dropout; empty: one linear layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout after each hidden layer; with no hidden layer, before the linear one."""
    start: Literal["random", "probe"] = "random"
    """Random weights, or those of a linear probe on the backbone as it was loaded (LP-FT, Kumar et al. 2022). On a
    random backbone random weights, too."""


class Train(Part):
    """Length, batch size and precision of training."""

    epochs: Annotated[int, Field(gt=0)] = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(gt=1)] = 32
    """Images per step, summed over all processes."""
    fixed_steps: bool = True
    """With a label fraction, keep the steps per epoch of the full dataset; else an epoch is one pass."""
    images_per_epoch: Annotated[int, Field(gt=1)] | None = None
    """At most so many images per epoch, others in every one: for large datasets and short trainings. None: all."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Label smoothing (Szegedy et al. 2016): fraction of the target spread over all classes."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Numerical precision, as named by Lightning Fabric."""
    compile: bool = False
    """Compile the backbone's training steps with `torch.compile`: a minute at the start, then faster steps on a GPU."""
    sync_batchnorm: bool = False
    """On several GPUs: batch statistics over the images of all processes (PyTorch's SyncBatchNorm), where each has few,
    as in segmentation."""


class Validation(Part):
    """Validation and prediction."""

    batch_size: Annotated[int, Field(gt=0)] = 32
    """Images per validation or prediction step."""
    image_size: Annotated[int, Field(ge=8)] | None = None
    """Side, in pixels, at which images are classified; None: data.image_size. Random crops of larger images are not
    magnified, while whole images suit the network at about the size of its crops (Touvron et al. 2019, arXiv
    1906.06423)."""
    every: Annotated[int, Field(gt=0)] = 1
    """Validate after every so many epochs, counted back from the last one, which always is. Others save no weights as
    the best and have no maps: for short trainings, where validating costs what more epochs would."""
    hflip: bool = False
    """Classify by the mean features of each image and its mirror image (test-time augmentation), in twice the time."""


class Optimizer(Part):
    """The optimizer."""

    name: Literal["adam", "adamw", "sgd", "muon"] = "adamw"
    """Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), SGD with momentum 0.9, or Muon (Jordan et al.
    2024) for matrices and convolutions with AdamW for vectors."""
    lr: Positive = 1e-3
    """Learning rate of the backbone."""
    head_lr_factor: Positive = 1.0
    """The head's learning rate, as a multiple of `lr`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay; with `adamw` and `muon` not applied to biases and normalization layers."""


class Schedule(Part):
    """The learning-rate schedule."""

    name: Literal["constant", "linear", "cosine"] = "cosine"
    """After the warm-up: constant, linear decay to zero, or cosine decay to zero."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the training for linear warm-up from zero."""
    per: Literal["epoch", "step"] = "step"
    """Update the learning rate after every epoch or every step."""


class Checkpoint(Part):
    """Which weights are saved as the best, and how often training state is saved."""

    monitor: Literal["val_loss", "val_accuracy", "val_miou", "last"] = "val_loss"
    """Metric that selects `weights/best`: lowest loss, highest accuracy or highest mean IoU on validation, or the last
    epoch."""
    every_minutes: Positive = 10.0
    """Minutes between checkpoints within an epoch. One is also saved after every epoch (for a head on stored features,
    at most every five seconds)."""


class Analysis(Part):
    """What is stored for the report: features and predicted masks at some epochs."""

    epochs: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Strict(False)] = ()
    """Epochs, counted from 1, after which features are stored; empty: the first, the middle and the last."""
    train_samples: Annotated[int, Field(ge=0)] = 1000
    """Training images whose features are stored, besides all validation images."""
    save_images: bool = True
    """Save thumbnails of these images, for the report."""
    masks: Annotated[tuple[str, ...], Strict(False)] = ()
    """Validation images whose predicted masks are saved at these epochs, by name (`0013`); empty: the first few."""


class Expect(Part):
    """The result this recipe is expected to reach, to compare a run with."""

    metric: str
    """Name of the metric, as in `metrics.csv`."""
    value: float
    """Expected value."""
    source: str
    """Where the value comes from: a paper, a report, a measurement."""
