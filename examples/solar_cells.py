# %% [markdown]
# # Defective solar cells, through the Python API
#
# The package elpv-dataset ships 2,624 electroluminescence images of solar cells, 300 x 300 pixels, each with the
# probability that the cell is defective (Deitsch et al. 2019, doi:10.1016/j.solener.2019.02.067). This example checks a
# sample of them, trains a classifier, predicts, evaluates and writes the report. It takes a minute on two cores:
#
#     pip install headstart[demo]
#     python examples/solar_cells.py
#
# Larger, to about 88 % in five minutes: `--images 2624 --epochs 9`. An editor that knows percent cells (VS Code,
# Spyder, PyCharm, Jupytext) runs it cell by cell.

# %%
from __future__ import annotations

import argparse
import random
import shutil
from importlib.util import find_spec
from pathlib import Path

import headstart as hs

parser = argparse.ArgumentParser(description="Train a classifier of solar cells.")
parser.add_argument("--images", type=int, default=200, help="so many of the 2,624 images")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--weights", default="shipped", help="'none' trains a small network from scratch")
parser.add_argument("--out", type=Path, default=Path("runs/solar-cells-example"), help="a new folder")
args, _ = parser.parse_known_args()  # a notebook's kernel has arguments of its own

# %% [markdown]
# ## A folder per class
#
# headstart reads plain folders, so a table of labels becomes a copy of each image in the folder of its class.

# %%
package = find_spec("elpv_dataset")
if package is None or not package.submodule_search_locations:
    raise SystemExit("elpv-dataset is not installed: pip install headstart[demo]")
source = Path(package.submodule_search_locations[0]) / "data"
rows = [line.split() for line in (source / "labels.csv").read_text(encoding="utf-8").splitlines() if line.strip()]
random.Random(0).shuffle(rows)

photos = args.out / "photos"
for name, probability, _kind in rows[: args.images]:
    folder = photos / ("defective" if float(probability) > 0.5 else "functional")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / name, folder)

# %% [markdown]
# ## Check the data

# %%
health = hs.check(photos)
print("check: status", health.status)

# %% [markdown]
# ## Train
#
# `overrides` are fields of the recipe, by the names that `headstart recipe show quick` lists.

# %%
overrides = {"train.epochs": args.epochs}
if args.weights == "none":
    overrides |= {"backbone.name": "resnet10t", "backbone.weights": "none"}
run = hs.fit("quick", photos, out=args.out / "run", overrides=overrides)
print(f"fit: accuracy {run.accuracy:.1%} on the validation images")

# %% [markdown]
# ## Predict
#
# One row per image: its file, its label, and a probability per class.

# %%
images = sorted(photos.glob("*/*.png"))[:3]
for row in run.predict(images).rows(probabilities=True):  # type: ignore[union-attr]
    print(row)

# %% [markdown]
# ## Evaluate
#
# Accuracy with its 95 % bootstrap interval. Images that the run was trained on are left out.

# %%
accuracy = run.evaluate(photos).metrics.accuracy
print(f"evaluate: accuracy {accuracy.value:.1%} (95 % CI {accuracy.low:.1%} to {accuracy.high:.1%})")

# %%
print("report:", run.report())
