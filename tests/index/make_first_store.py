"""How ``first_store`` was made, once: the folder is never written again, so that what was written then stays readable."""

from pathlib import Path

from emprox.index import Record, Store
from emprox.spaces import ComputationGraph, NodeAttributes, get_family
from emprox.tables import Measure

CELL = "|nor_conv_3x3~0|+|none~0|{}~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
TIME = "2026-11-22T12:00:00+00:00"


def records() -> list[Record]:
    """Return records that use every field."""
    nodes = tuple(NodeAttributes(channels=3, size=(8, 8)) for _ in range(2))
    network = get_family("network").named(ComputationGraph(("input", "output"), ((0, 1),), nodes), "identity")
    cells = [CELL.format(op) for op in ("none", "skip_connect", "avg_pool_3x3")]
    made = [
        Record("nasbench201", cell, {"val_accuracy": 90 + i / 3}, seed=i, source="Käthe", time=TIME, key=f"cell {i}")
        for i, cell in enumerate(cells)
    ]
    made.append(Record("nasbench201", cells[0], {"val_accuracy": 91.0, "latency_ms": 1e-3}, time=TIME, key="again"))
    own = {"reward": Measure("points", False)}
    made.append(Record.of(network, {"reward": -2.5}, measures=own, seed=-1, time=TIME, embedding="0f" * 16, key="network"))
    return made


if __name__ == "__main__":
    folder = Path(__file__).with_name("first_store")
    with Store(folder, create=True) as store:
        store.add_records(records()[:3])
        for record in records()[3:]:
            store.add_records([record])
        lines = [" ".join(map(str, record.row)) for record in store.records()]
    (folder / "records.txt").write_text("\n".join(lines) + "\n")
