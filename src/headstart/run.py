"""A training run on disk, for Python programs: its figures, predictions, evaluation, maps and report.

Imports of torch (inference), scikit-learn (analysis, report) stand in the functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headstart.data.parallel import Progress
from headstart.errors import HeadstartError
from headstart.files import Row
from headstart.runs.folder import RunFolder
from headstart.runs.lock import own
from headstart.runs.tables import best_epoch

if TYPE_CHECKING:
    from headstart.export.export import Exported
    from headstart.inference.evaluate import Evaluation, MaskEvaluation
    from headstart.inference.image_check import ImageCheck
    from headstart.inference.predict import Predictions
    from headstart.inference.segment import MaskPredictions, WriteResult
    from headstart.runs.analysis import FeatureAnalysis
    from headstart.runs.label_errors import LabelCheck

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A training run on disk: metrics, predictions, evaluation, report.

    ``Run("runs/quick-photos")`` opens the folder of one. Raises HeadstartError if there is none. Everything is read
    from the folder when it is asked for, so that a run can be followed while it trains.
    """

    path: Path

    def __init__(self, path: PathLike) -> None:
        object.__setattr__(self, "path", Path(path))
        _ = self.folder

    @property
    def folder(self) -> RunFolder:
        """The files of the run."""
        return RunFolder.open(self.path)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the network's outputs."""
        return self.folder.classes

    @property
    def metrics(self) -> list[Row]:
        """A row per finished epoch and split."""
        return self.folder.metrics

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy of the best weights, 0 to 1; pixel accuracy for segmentation.

        None before the first epoch ends and for self-supervised pre-training.
        """
        return self._best("accuracy")

    @property
    def miou(self) -> float | None:
        """Validation mean IoU of the best weights, 0 to 1; None unless the task is segmentation.

        From one confusion matrix over all images, without ignored pixels. The mean is over the classes that occur in
        the ground truth or in the predictions.
        """
        return self._best("miou")

    def _best(self, metric: str) -> float | None:
        """A validation metric at the epoch whose weights are kept (`checkpoint.monitor`)."""
        best = best_epoch(self.metrics, self.folder.recipe.checkpoint.monitor)
        return next((row.get(metric) for row in self.metrics if (row["split"], row["epoch"]) == ("val", best)), None)

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is trained and saved, and maps and report are made."""
        return self.folder.finished

    def map(
        self,
        *,
        perplexity: float | None = None,
        epochs: Sequence[int] = (),
        split: Literal["all", "val", "train"] = "all",
        seed: int = 0,
    ) -> FeatureAnalysis:
        """t-SNE and PCA of the stored features, with kNN and calibration metrics; needs no training.

        Writes ``analysis/`` in the run folder, which the report shows. ``perplexity`` is that of t-SNE (default: 30, or
        less for few images); ``epochs`` count from 1 (default: all that are stored). The same ``seed`` gives the same
        map.
        """
        from headstart.analysis.feature_analysis import analyze_features

        with own(self.path):
            return analyze_features(self.folder, perplexity, epochs, split, seed)

    def export_map(self, file: PathLike, *, overwrite: bool = False) -> Path:
        """Write the latest maps as a Parquet table, a row per image and epoch, and return its path.

        Columns: filename, split, label, epoch, coordinates, predictions and thumbnails. Needs the extra ``parquet``.
        Raises HeadstartError without maps, and for a file that is there unless ``overwrite``.
        """
        from headstart.analysis.map_table import write_map_table

        return write_map_table(self.folder, Path(file), overwrite=overwrite)

    def check_labels(self, data: PathLike | None = None, *, progress: Progress | None = None) -> LabelCheck:
        """Find the labels that a linear probe contradicts, over all labeled images of the run's data.

        Writes ``labels-to-check.csv`` in the run folder, the most suspicious label first, which the report shows.
        ``data`` is where the images are now, if they have moved; ``progress(done, total)`` counts images. Needs the
        extra ``labels``. Raises HeadstartError for a run that does not classify.
        """
        from headstart.inference.label_errors import check_labels

        with own(self.path):
            return check_labels(self.folder, data, progress)

    def report(self) -> Path:
        """Write ``report.html`` into the run folder, replacing an earlier one, and return its path.

        Of a trained run also ``MODEL_CARD.md``, unless it learned without labels.
        """
        from headstart.report.model_card import write_model_card
        from headstart.report.run_page import write_report

        folder = self.folder
        if folder.trained and self.accuracy is not None:
            write_model_card(folder)
        return write_report(folder)

    def predict(
        self,
        images: PathLike | Iterable[PathLike],
        *,
        bare_names: bool = False,
        flip: bool = False,
        refuse: float | None = None,
        unfinished: bool = False,
        progress: Progress | None = None,
    ) -> Predictions | MaskPredictions:
        """Predict classes, or masks if the run's task is segmentation.

        ``images`` are files, folders or glob patterns; for segmentation of any size. Unreadable files are skipped and
        listed in the result. ``bare_names`` calls the files by their names alone, each of which must then occur once
        (classification only). ``flip`` is flip test-time augmentation (segmentation only). ``refuse=0.05`` marks images
        as refused so that at most 5 % of the others are wrong, with 95 % confidence, if they are like the validation
        images (classification only); it raises HeadstartError where that cannot be promised. ``unfinished`` allows the
        best weights so far; ``progress(done, total)`` counts images, or tiles.
        """
        from headstart.inference.image_files import find_images
        from headstart.inference.model import load_model
        from headstart.inference.predict import predict, refusal_of

        if self.folder.palette is not None:
            from headstart.inference.segment import find_rasters, predict_masks

            if refuse is not None:
                raise HeadstartError(
                    f"refuse: expected a classifier, found {self.path}, which predicts masks", "the same without refuse"
                )
            files = find_rasters(images)
            return predict_masks(load_model(self.folder, unfinished=unfinished), files, flip=flip, progress=progress)
        files = find_images(images).with_bare_names() if bare_names else find_images(images)
        refusal = None if refuse is None else refusal_of(self.folder, refuse)
        model = load_model(self.folder, unfinished=unfinished)
        return replace(predict(model, files, progress=progress), refusal=refusal)

    def check_images(self, images: PathLike | Iterable[PathLike], *, progress: Progress | None = None) -> ImageCheck:
        """Compare images with the validation images: are they of the kind that this run was trained on?

        ``images`` are files, folders or glob patterns, 20 at least. Images of the same kind, each drawn by itself,
        raise the alarm (``.status`` 1, ``.reasons``) in at most 5 % of all checks. Raises HeadstartError for a run that
        predicts masks or stored no features.
        """
        from headstart.inference.image_check import check_images
        from headstart.inference.image_files import find_images

        return check_images(self.folder, find_images(images), progress=progress)

    def predict_table(
        self, table: PathLike, *, folder: PathLike, unfinished: bool = False, progress: Progress | None = None
    ) -> tuple[list[Row], Predictions]:
        """Predict ``label`` for each ``filename`` (relative to ``folder``) of a CSV file: (rows, predictions)."""
        from headstart.inference.model import load_model
        from headstart.inference.predict import predict_table

        model = load_model(self.folder, unfinished=unfinished)
        return predict_table(Path(table), model, folder=Path(folder), progress=progress)

    def write_masks(
        self,
        images: PathLike | Iterable[PathLike],
        out: PathLike,
        *,
        overlay: bool = False,
        flip: bool = False,
        overwrite: bool = False,
        unfinished: bool = False,
        progress: Progress | None = None,
    ) -> WriteResult:
        """Predict masks and write them into the folder ``out``, in the format of the training masks.

        ``photo_mask.png`` for ``photo.jpg``; ``overlay`` also writes the image under its mask. A GeoTIFF is read and
        written a band of rows at a time, so it may be larger than memory. Raises HeadstartError, before anything is
        written, for a folder ``out`` among the images, and unless ``overwrite`` for files there that headstart did not
        write.
        """
        from headstart.inference.destination import refuse_among_images
        from headstart.inference.image_files import as_list
        from headstart.inference.model import load_model
        from headstart.inference.segment import find_rasters, write_masks

        given = as_list(images)
        refuse_among_images(Path(out), given, self.folder.data["root"])
        files = find_rasters(given)
        model = load_model(self.folder, unfinished=unfinished)
        return write_masks(
            model, files, out=Path(out), overlay=overlay, flip=flip, overwrite=overwrite, progress=progress
        )

    def evaluate(
        self, data: PathLike, *, split: str | None = None, unfinished: bool = False, progress: Progress | None = None
    ) -> Evaluation | MaskEvaluation:
        """Evaluate on a folder of labeled images, or of image and mask pairs.

        ``.metrics`` of the result are all metrics with 95 % bootstrap intervals over images; ``.split`` and
        ``.excluded`` say what they were computed on. By default that is the test split if there is one, else the
        validation split, and never an image that the run was trained on (see `inference.evaluate.evaluate`).
        """
        from headstart.inference.evaluate import evaluate

        return evaluate(self.folder, data, split=split, unfinished=unfinished, progress=progress)

    def export(
        self,
        out: PathLike,
        *,
        to: Literal["onnx", "timm", "torch"] | None = None,
        int8: bool = False,
        data: PathLike | None = None,
        overwrite: bool = False,
        unfinished: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write the network to a file for other programs, checked against `predict` on up to 200 validation images.

        ``out`` ends in ``.onnx``, ``.safetensors`` (timm) or ``.pt2`` (`torch.export`), or ``to`` says which of them it
        is; all preprocessing but decoding is inside, except for timm. ``int8`` has ONNX Runtime calculate in 8 bits,
        and measures loss and gain. ``data`` is where the run's images are now, if they have moved. Raises
        HeadstartError, with nothing written, where outputs are not those of `predict` within 1e-4.
        """
        from headstart.export.export import export

        return export(
            self.folder,
            out,
            to=to,
            int8=int8,
            data=data,
            overwrite=overwrite,
            unfinished=unfinished,
            progress=progress,
        )
