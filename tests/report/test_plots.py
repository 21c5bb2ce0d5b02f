"""The figures hold what they say they show."""

from __future__ import annotations

import json

from headstart.report.plots import curves


def test_the_best_epochs_by_loss_and_by_accuracy_are_starred_and_the_kept_one_filled() -> None:
    figures = [(1.0, 0.5, 0.9, 0.6), (0.5, 0.7, 0.5, 0.7), (0.4, 0.8, 0.6, 0.75)]
    rows = [
        {"epoch": epoch, "split": split, "loss": loss, "accuracy": accuracy, "lr": 0.1}
        for epoch, each in enumerate(figures)
        for split, loss, accuracy in (("train", *each[:2]), ("val", *each[2:]))
    ]
    for kept, symbols in (("val_loss", ["star", "star-open"]), ("val_accuracy", ["star-open", "star"])):
        traces = json.loads(curves(rows, 3, kept))["data"]
        stars = [trace for trace in traces if str(trace.get("marker", {}).get("symbol", "")).startswith("star")]
        assert [star["marker"]["symbol"] for star in stars] == symbols
        assert [(star["x"], star["y"]) for star in stars] == [([2], [0.5]), ([3], [0.75])]
        names = [star["name"].replace(" (saved)", "") for star in stars]
        assert names == ["best by loss: epoch 2", "best by accuracy: epoch 3"]
        assert [star["name"].count("(saved)") for star in stars] == [symbol == "star" for symbol in symbols]
