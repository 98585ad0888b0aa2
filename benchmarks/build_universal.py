"""Learn what ships with emprox for any network: ``python benchmarks/build_universal.py --tables-root DIR``.

Writes emprox/knowledge/universal.safetensors and prints what it holds, for the card beside it. Needs timm, or the graphs of its
networks among the downloaded tables.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emprox.estimators.universal import NUMBERS, SHIPPED, Knowledge
from emprox.tables import load_table

TABLES = (
    "nasbench101",
    "nasbench201",
    "nasbench301",
    "transnas101-micro:class_scene",
    "ofa-mobilenetv3",
    "timm-imagenet:pretrain=in1k-only,max_img_size=300",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-root", type=Path, help="folder of downloaded tables")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    learned = Knowledge.learn([load_table(name, arguments.tables_root) for name in TABLES])
    learned.save(arguments.out)
    print("| number | weight | mean | standard deviation |\n|---|---|---|---|")
    for name, *values in zip(NUMBERS, learned.weights, learned.centre, learned.scale, strict=True):
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")


if __name__ == "__main__":
    main()
