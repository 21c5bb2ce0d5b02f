"""Frames per second of the embedding explorer while it is scrubbed: python benchmarks/explorer_frames.py RUN [IMAGES].

RUN is any finished classifier with thumbnails. A copy of it gets 5,000 made-up images of fifty classes over eight
epochs; its page is opened in headless Chromium without a GPU, the slider is dragged to and fro, and frames are counted
by `requestAnimationFrame`. Debian's chromium is needed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright
from safetensors.numpy import save

from headstart.report.run_page import write_report
from headstart.runs.analysis import EpochAnalysis, EpochMetrics, FeatureAnalysis, write_feature_analysis
from headstart.runs.folder import RunFolder

CLASSES, EPOCHS, WIDTH = 50, 8, 64
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
COUNT = """() => {
  const count = (now) => { window.frames_at.push(now); requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""
"""Run once in a page: `frames_at` are the times of its frames."""
ANSWER = """async (press) => {
  const began = performance.now();
  press();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - began;
}"""


def made(run: RunFolder, images: int) -> None:
    """Give a copy of a run so many images with features that come apart over the epochs, and places by them."""
    random = np.random.default_rng(0)
    data, epochs = run.data, range(1, EPOCHS + 1)
    names = [f"class {i:02}" for i in range(CLASSES)]
    data["classes"], data["counts"] = names, {"val": dict.fromkeys(names, images // CLASSES)}
    run.write_json("data.json", data)
    for name in ("predictions.csv", "heat-maps.zip", "checksums.json"):
        (run.path / name).unlink(missing_ok=True)
    shutil.rmtree(run.path / "features")
    labels = random.integers(0, CLASSES, images)
    files = [{"filename": f"{names[k]}/{i:06}.jpg", "split": "val", "label": names[k]} for i, k in enumerate(labels)]
    run.write_table("features/images.csv", files)
    middles, noise = random.normal(size=(CLASSES, WIDTH)), random.normal(size=(images, WIDTH))
    rows = []
    for epoch in epochs:
        features = (middles[labels] * epoch / EPOCHS * 2 + noise).astype(np.float32)
        scores = np.exp(features @ middles.T.astype(np.float32) / 8)
        p = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        run.write(
            f"features/epoch-{epoch:04}.safetensors",
            save({"features": features, "probabilities": p}, metadata={"seconds": "0"}),
        )
        rows += [
            {"epoch": epoch, "row": i, "pca_x": x, "pca_y": y, "tsne_x": u, "tsne_y": v}
            for i, (x, y, u, v) in enumerate(features[:, :4].tolist())
        ]
    none = EpochMetrics(
        images=images, accuracy=None, loss=None, ece=None, brier=None, knn=None, purity=None, silhouette=None
    )
    analyzed = tuple(EpochAnalysis(epoch=epoch, val=none, train=None, variance=0.5) for epoch in epochs)
    write_feature_analysis(
        run, FeatureAnalysis(epochs=analyzed, scaling=None, perplexity=30, split="all", seed=0), rows
    )
    with zipfile.ZipFile(run.path / "thumbnails.zip") as archive:
        pictures = [archive.read(name) for name in archive.namelist()]
    with zipfile.ZipFile(run.path / "thumbnails.zip", "w") as archive:
        for i in range(images):
            archive.writestr(f"{i}.jpg", pictures[i % len(pictures)])


def scrubbed(page: Page, seconds: float) -> np.ndarray:
    """Drag the slider to and fro for so long; frames per second from the time between every two frames."""
    page.locator("#map-slider").scroll_into_view_if_needed()
    box = page.locator("#map-slider").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate("window.frames_at = []")
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        share = abs(1 - spent / seconds * 4 % 2)  # twice to and fro
        page.mouse.move(box["x"] + 8 + (box["width"] - 16) * share, box["y"] + box["height"] / 2)
    frames = np.array(page.evaluate("window.frames_at"))
    page.mouse.up()
    return np.asarray(1000 / np.diff(frames))


def main() -> None:
    images = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = RunFolder(Path(shutil.copytree(sys.argv[1], Path(folder) / "run")))
        made(run, images)
        began = time.perf_counter()
        file = write_report(run)
        print(f"page of {images:,} images over {EPOCHS} epochs: {time.perf_counter() - began:.1f} s to write")
        size, sheet = file.stat().st_size, len(file.read_text().partition('"sheet":"')[2].partition('"')[0])
        print(f"{(size - sheet) / 1e6:.2f} MB and {sheet / 1e6:.2f} MB of thumbnails (asked: below 2 MB without them)")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        began = time.perf_counter()
        page.goto(f"file://{file}")
        print(
            f"loaded after {time.perf_counter() - began:.2f} s, {page.evaluate('navigator.hardwareConcurrency')} cores"
        )
        page.evaluate(f"window.frames_at = []; ({COUNT})()")
        for color in page.locator("#map-color option").all_inner_texts():
            page.locator("#map-color").select_option(color)
            rate = scrubbed(page, 6)
            print(f"scrubbing, color {color}: median {np.median(rate):.0f} frames/s, p10 {np.percentile(rate, 10):.0f}")
        for name, press in (
            ("projection", "document.getElementById('map-pca').click()"),
            ("class", "document.querySelector('#map-legend .chip').click()"),
            ("correct", "document.querySelector('#map-outcomes .chip').click()"),
            ("pin", "location.hash = 'map.pin=7'"),
        ):
            print(f"{name}: answers within {page.evaluate(f'({ANSWER})(() => {{ {press}; }})'):.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
