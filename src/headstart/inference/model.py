"""A trained network, loaded from a run folder and ready for inference."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.conversion import Conversion
from headstart.errors import HeadstartError
from headstart.models.run_weights import read_weights
from headstart.palette import Palette
from headstart.recipes.recipe import Recipe
from headstart.runs.folder import RunFolder, classifier_command
from headstart.tasks import Task, task_named
from headstart.transforms.augment import eval_transform


@dataclass(frozen=True)
class Model:
    """A trained network in evaluation mode, with the recipe and the classes it was trained with."""

    task: Task
    recipe: Recipe
    classes: tuple[str, ...]
    """Class names in the order of the network's outputs."""
    device: torch.device
    palette: Palette | None = None
    """Classes and colors of the masks; None for a classifier."""
    conversion: Conversion = field(default_factory=Conversion)
    """How deep values and bands became RGB of 8 bits in training."""

    @property
    def mixed_precision(self) -> bool:
        """Whether inference runs in bfloat16 autocast, as training did."""
        return self.recipe.train.precision == "bf16-mixed"

    @property
    def batch_size(self) -> int:
        """Images that are classified at once."""
        return self.recipe.val.batch_size

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `probabilities`, for an array of images."""
        return self.probabilities(torch.from_numpy(images))

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> NDArray[np.float32]:
        """Softmax probabilities of a batch of uint8 images.

        A classifier takes (B, 3, S, S) with S = ``recipe.data.image_size`` and returns float32 (B, C). A segmentation
        model takes (B, 3, H, W) of any size and returns float32 (B, K, H, W).
        """
        inputs = eval_transform(images.to(self.device), self.recipe.augment)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            outputs: NDArray[np.float32] = self.task.predict(inputs).cpu().numpy()
        return outputs


def load_model(run: RunFolder, *, unfinished: bool = False) -> Model:
    """Load the best weights of a run, onto the GPU if there is one.

    Raises HeadstartError if the run is not finished (unless ``unfinished``), and if its task has no classes to predict
    (self-supervised pre-training).
    """
    task = run.recipe.task
    if task_named(task).target == "none":
        raise HeadstartError(
            f"{run.path}: expected a run that predicts classes, found the self-supervised task {task};"
            " train a classifier from its weights",
            classifier_command(run),
        )
    return load_network(run, unfinished=unfinished)


def load_network(run: RunFolder, *, unfinished: bool = False) -> Model:
    """As `load_model`, of any task: one without labels has no classes, and features alone."""
    recipe, classes = run.recipe, tuple(run.classes)
    task_class = task_named(recipe.task)
    run.require_finished(unfinished)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = task_class.build(recipe, classes)
    task.load_weights(read_weights(run))
    task.eval().to(device).to(memory_format=torch.channels_last)
    conversion = Conversion(run.ranges, recipe.data.bands, recipe.data.max_pixels)
    return Model(task, recipe, classes, device, run.palette, conversion)
