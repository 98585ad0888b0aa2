#!/usr/bin/env bash
# Baselines on every table that needs no recipe: sh benchmarks/baselines.sh TABLES_ROOT [row|class]
# Twenty trials, 50 and 121 labels, all other rows as test; docs/baselines.md is made of these.
set -euo pipefail
root=$1
split=${2:-row}
export OMP_NUM_THREADS=1
for table in bundled nasbench101 nasbench301 ofa-mobilenetv3 transnas101-micro:class_scene transnas101-micro:class_object \
  transnas101-micro:room_layout transnas101-micro:jigsaw transnas101-micro:segmentsemantic transnas101-micro:normal \
  transnas101-micro:autoencoder nasbench201 nasbench201:cifar100 nasbench201:ImageNet16-120 \
  nasbench201-12epochs; do
  out="$(dirname "$0")/results/baselines/${table/:/-}-$split.json"
  [ -e "$out" ] && continue
  emprox bench --table "$table" --tables-root "$root" --split "$split" --train-size 50 --train-size 121 --test-size rest \
    --trials 20 --seed 0 --estimator xgboost --estimator xgboost:encoding=features --estimator forest --estimator gp \
    --estimator ridge --estimator knn --estimator params --estimator macs --estimator pathnorm --estimator size --out "$out"
done
