"""Estimates one family of timm's CNNs from the others: how networks are ranked that are unlike all known ones.

    python benchmarks/timm_families.py --tables-root DIR --out benchmarks/results/timm_families.json
    python benchmarks/timm_families.py --out benchmarks/results/timm_families.json --show

Networks: CNNs (`emprox.tables.timm.read_timm_imagenet`) trained on ImageNet-1k alone, tested at up to 300 pixels. A family is a
module of timm. Each with enough networks is left out once; the known are all others, and, for each seed, some drawn from them.
Correlations are within the family, coverage is that of 90 % intervals for its networks. Resumable: a family that is in the
results is not run again.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from emprox import PerformanceTable, load_table
from emprox.benchmark import commit, machine
from emprox.estimators import EmProx, make_estimator
from emprox.parallel import limit_threads
from emprox.report import METRICS, paired_difference
from emprox.report.metrics import coverage

TABLE, POPULATION = "timm-imagenet:pretrain=in1k-only,max_img_size=300", "cnn"
ESTIMATORS = ("emprox", "xgboost:encoding=network", "params", "macs")
CORRELATIONS = ("spearman", "kendall")
LEVEL = 0.9
COVERAGE, UNLIKE = "coverage of 90 %", "share unlike all known"
FEWEST = 8
"""Networks that a family needs to be left out."""
DRAWN, SEEDS = 100, range(10)
"""Labels drawn from all other families, and the seeds of the draws."""
ALL = "all"


def run(table: PerformanceTable, family: str) -> list[dict[str, Any]]:
    """Return the correlations of each estimator within one family, by number of labels and seed."""
    is_in = table.column("family") == family
    test, others = np.flatnonzero(is_in), np.flatnonzero(~is_in)
    draws = [(ALL, 0, others)]
    draws += [(DRAWN, seed, np.random.default_rng([seed, *family.encode()]).permutation(others)[:DRAWN]) for seed in SEEDS]
    _, y = table.target()
    rows = []
    for labels, seed, train in draws:
        for name in ESTIMATORS:
            model = make_estimator(name, random_state=seed)
            model.fit([table.architectures[i] for i in train], y[train])
            estimates = model.predict([table.architectures[i] for i in test])
            found = {metric: METRICS[metric](y[test], estimates) for metric in CORRELATIONS}
            if isinstance(model, EmProx):
                found[COVERAGE] = coverage(y[test], *model.predict_interval([table.architectures[i] for i in test], LEVEL))
                found[UNLIKE] = len(model.unlike_known([table.architectures[i] for i in test])) / len(test)
            rows.append({"family": family, "tested": len(test), "labels": labels, "seed": seed, "estimator": name, **found})
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each estimator, mean and spread over families, and the paired difference of the first to it."""
    lines = []
    for labels in (ALL, DRAWN):
        for metric in CORRELATIONS:
            first = by_family(rows, labels, ESTIMATORS[0], metric)
            for name in ESTIMATORS:
                values = by_family(rows, labels, name, metric)
                line = {"labels": labels, "metric": metric, "estimator": name, "families": len(values)}
                line |= {"mean": round(float(values.mean()), 4), "std": round(float(values.std(ddof=1)), 4)}
                if name != ESTIMATORS[0]:
                    gap = paired_difference(first, values)
                    line["emprox_minus_it"] = [round(x, 4) for x in (gap.mean, gap.low, gap.high)]
                lines.append(line)
        lines += [
            {"labels": labels, "metric": metric, "estimator": ESTIMATORS[0], "families": len(values)}
            | {"mean": round(float(values.mean()), 4), "std": round(float(values.std(ddof=1)), 4)}
            for metric in (COVERAGE, UNLIKE)
            for values in [by_family(rows, labels, ESTIMATORS[0], metric)]
        ]
    return lines


def by_family(rows: list[dict[str, Any]], labels: Any, estimator: str, metric: str) -> np.ndarray:
    """Return the mean over seeds for each family, in the order of their names."""
    chosen = [row for row in rows if row["labels"] == labels and row["estimator"] == estimator]
    families = sorted({row["family"] for row in chosen})
    return np.array([np.mean([row[metric] for row in chosen if row["family"] == family]) for family in families])


def show(lines: list[dict[str, Any]]) -> str:
    """Return the summary as a Markdown table."""
    text = ["| known | metric | estimator | mean (sd over families) | EmProx minus it, 95 % |", "|---|---|---|---|---|"]
    for line in lines:
        gap = "{:+.3f} ({:+.3f} to {:+.3f})".format(*line["emprox_minus_it"]) if "emprox_minus_it" in line else ""
        value = f"{line['mean']:.3f} ({line['std']:.3f})"
        text.append(f"| {line['labels']} | {line['metric']} | {line['estimator']} | {value} | {gap} |")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="print the table of what is there, run nothing")
    options = parser.parse_args()
    before = json.loads(options.out.read_text()) if options.out.exists() else {"results": []}
    if options.show:
        print(show(before["summary"]))
        return
    table = load_table(TABLE, options.tables_root).population(POPULATION)
    counts = Counter(table.column("family").tolist())
    families = sorted(family for family, count in counts.items() if count >= FEWEST)
    rows = before["results"]
    for family in families:
        if not any(row["family"] == family for row in rows):
            with limit_threads(1):
                rows += run(table, family)
            written = {
                "table": TABLE,
                "population": POPULATION,
                "networks": len(table),
                "families": {name: counts[name] for name in families},
                "machine": machine(),
                "commit": commit(),
                "summary": summary(rows) if len({row["family"] for row in rows}) > 1 else [],
                "results": rows,
            }
            options.out.write_text(json.dumps(written, indent=1) + "\n")
            print(family, counts[family], flush=True)


if __name__ == "__main__":
    main()
