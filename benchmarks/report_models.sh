#!/usr/bin/env bash
# The report's models at their size, on one GPU: pre-training with labels, Models A and B, both segmenters, BYOL.
#
#   bash benchmarks/report_models.sh CORPUS100 OBJECTS50 AERIAL OUT [EPOCHS]
#
# Runs go to OUT/NAME, what they print to OUT/NAME.log. On one H200 100 epochs of A and B together take about 11 minutes
# (6.4 s an epoch each, side by side), the three pre-trainings side by side 3, the four segmenters side by side 2. VGG16
# needs timm 1.0.31 or newer. Put OUT and HEADSTART_CACHE on a disk in memory: weights are written after every epoch.
set -euo pipefail
corpus=$1 objects=$2 aerial=$3 out=$4 epochs=${5:-100}
mkdir -p "$out"

fit() { # NAME RECIPE DATA OVERRIDE...
  local name=$1
  shift
  if [ -e "$out/$name" ]; then
    python3 -m headstart fit --resume "$out/$name" >"$out/$name.log" 2>&1
  else
    python3 -m headstart fit "$@" --out "$out/$name" >"$out/$name.log" 2>&1
  fi
  echo "$name: $(grep -h '^validation' "$out/$name.log")"
}

fast="train.precision=bf16-mixed train.compile=true val.batch_size=250"
labels="resnet18-64px $corpus val.batch_size=250 analysis.train_samples=0"
fit resnet18 $labels backbone.name=resnet18.tv_in1k data.image_size=224 train.batch_size=128 train.epochs=16 train.compile=true &
fit vgg16 $labels backbone.name=vgg16.tv_in1k data.image_size=96 train.batch_size=128 train.epochs=14 optimizer.lr=2e-4 train.precision=bf16-mixed train.compile=true &
fit resnet50 $labels backbone.name=resnet50.tv_in1k data.image_size=96 train.batch_size=128 train.epochs=16 &
wait
fit model-a resnet18-scratch "$objects" $fast train.epochs="$epochs" &
fit model-b resnet18-pretrained "$objects" $fast train.epochs="$epochs" backbone.weights="$out/resnet18" &
wait
masks="analysis.masks=['0036','0040','0085']"
for start in corpus random; do
  vgg16=none resnet50=none
  [ $start = random ] || vgg16=$out/vgg16 resnet50=$out/resnet50
  fit fcn32s-$start fcn32s-vgg16 "$aerial" data.image_size=300 val.batch_size=9 "$masks" backbone.weights="$vgg16" &
  fit deeplabv3-$start deeplabv3-resnet50 "$aerial" data.image_size=300 val.batch_size=9 "$masks" backbone.weights="$resnet50" &
done
wait
fit byol byol-resnet50 "$corpus" train.precision=bf16-mixed train.compile=true train.epochs=10
