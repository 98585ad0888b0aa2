"""Traces every timm architecture with an input up to 300 pixels; compares parameters and multiply-accumulates with torch's.

    python benchmarks/trace_timm.py --out benchmarks/results/trace_timm.jsonl
    python benchmarks/trace_timm.py --out benchmarks/results/trace_timm.jsonl --summary benchmarks/results/trace_timm.json

Needs timm (``pip install --no-deps timm``, huggingface_hub, pyyaml). Resumable: one line per network, which is then skipped.
Networks are made on the meta device; no weight is ever made.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision_stand_in
from torch.utils.flop_counter import FlopCounterMode

from emprox.errors import EmproxError
from emprox.parallel import ENGINES, Engine, run
from emprox.spaces.storage import save_npz
from emprox.spaces.tracing import from_module

torchvision_stand_in.install()
import timm  # noqa: E402

MAX_PIXELS = 300


def names() -> list[str]:
    """Return the architectures whose input has at most `MAX_PIXELS` pixels a side, shuffled so that a part is a sample."""
    chosen = [name for name in timm.list_models() if pixels(name) <= MAX_PIXELS]
    return [chosen[i] for i in np.random.default_rng(0).permutation(len(chosen))]


def pixels(name: str) -> int:
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return max(config.input_size[1:]) if config is not None else 224


def measured(name: str) -> tuple[dict[str, Any], Any]:
    """Return what tracing one network gives, and its graph."""
    torch.set_num_threads(1)
    row: dict[str, Any] = {"name": name, "pixels": pixels(name)}
    with torch.device("meta"):
        try:
            model = timm.create_model(name, pretrained=False).eval()
        except Exception as error:  # not every architecture can be made on the meta device
            return {**row, "not_created": f"{type(error).__name__}: {error}"[:300]}, None
    row["model_parameters"] = sum(p.numel() for p in model.parameters())
    x = torch.zeros(1, 3, row["pixels"], row["pixels"], device="meta")
    start = time.process_time()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            graph = from_module(model, x)
    except EmproxError as error:
        return {**row, "error": str(error)[:600], "seconds": round(time.process_time() - start, 3)}, None
    row["seconds"] = round(time.process_time() - start, 3)
    row |= {"nodes": len(graph), "parameters": graph.parameters, "macs": graph.macs}
    row["cnn"] = graph.kinds.count("conv") >= 5 and "matmul" not in graph.kinds
    row["warnings"] = [str(w.message)[:300] for w in caught if "no primitive" in str(w.message)]
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(x)
        row["counted_macs"] = counter.get_total_flops() // 2
    except Exception as error:  # some networks do not run on the meta device
        row["not_counted"] = f"{type(error).__name__}: {error}"[:200]
    return row, graph


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return counts over the networks that could be made.

    A network counts as a CNN if it has five convolutions or more and no product of two values; one that cannot be traced counts
    as both a CNN and one of the rest.
    """
    made = [row for row in rows if "not_created" not in row]
    traced = [row for row in made if "nodes" in row]
    counted = [row for row in traced if row.get("counted_macs")]
    near = [row for row in counted if abs(row["macs"] / row["counted_macs"] - 1) <= 0.02]
    kinds = {
        kind: [row for row in made if row.get("cnn", kind == "cnn") == (kind == "cnn") or "error" in row]
        for kind in ("cnn", "rest")
    }
    return {
        "timm": timm.__version__,
        "torch": torch.__version__,
        "networks": len(made),
        "not_created": sorted(row["name"] for row in rows if "not_created" in row),
        **{f"{kind}_networks": len(part) for kind, part in kinds.items()},
        **{f"{kind}_traced": sum("nodes" in row for row in part) for kind, part in kinds.items()},
        "parameters_equal": sum(row["parameters"] == row["model_parameters"] for row in traced),
        "macs_counted": len(counted),
        "macs_within_2_percent": len(near),
        "cpu_seconds_median": statistics.median(row["seconds"] for row in traced),
        "cpu_seconds_largest": max(row["seconds"] for row in traced),
        "nodes_median": statistics.median(row["nodes"] for row in traced),
        "nodes_largest": max(row["nodes"] for row in traced),
        "with_unknown_functions": sum(bool(row["warnings"]) for row in traced),
        "failed": {row["name"]: row["error"] for row in made if "error" in row},
        "parameters_differ": {
            row["name"]: row["parameters"] - row["model_parameters"]
            for row in traced
            if row["parameters"] != row["model_parameters"]
        },
        "macs_differ": {row["name"]: round(row["macs"] / row["counted_macs"], 3) for row in counted if row not in near},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--graphs", type=Path, help="folder for one npz of each graph")
    parser.add_argument("--summary", type=Path, help="write the summary of what is there, trace nothing")
    parser.add_argument("--only", default="", help="regular expression of names")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the networks")
    parser.add_argument("--engine", default="loky", choices=list(ENGINES), help="what shares them")
    parser.add_argument("--address", help="Dask scheduler or Ray head")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    if options.summary:
        options.summary.write_text(json.dumps(summary(rows), indent=1) + "\n")
        return
    there = {row["name"] for row in rows}
    left = [name for name in names() if name not in there and re.search(options.only, name)]
    for position, (row, graph) in run(measured, left, engine=Engine(options.engine, options.jobs, options.address)):
        name = left[position]
        if graph is not None and options.graphs:
            options.graphs.mkdir(parents=True, exist_ok=True)
            save_npz(options.graphs / f"{name}.npz", [graph])
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(name, row.get("seconds"), row.get("error", row.get("not_created", "")), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
