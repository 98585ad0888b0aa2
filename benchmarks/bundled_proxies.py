"""Zero-cost proxies of the networks of the bundled table, untrained, on batches of its own training images."""

from __future__ import annotations

import torch
from bundled_training import CHOSEN, SETTINGS, load_data

from emprox.proxies import PROXIES, compute_proxies
from emprox.spaces import Architecture
from emprox.spaces._modules import GraphModule

BATCH = 64
NAMES = tuple(name for name in PROXIES if name not in ("params", "macs"))
"""Parameters and multiply-accumulates are columns of the table anyway."""


def proxies_of(cell: Architecture) -> dict[str, object]:
    """Return the proxies of a cell's network with the weights of seed 0, None where one has no value; to six digits."""
    torch.set_num_threads(1)
    setting = SETTINGS[CHOSEN]
    data = load_data(setting)
    images = data.train[:, data.train.shape[1] // 2]  # not moved
    batches = [(images[i : i + BATCH], data.train_labels[i : i + BATCH]) for i in (0, BATCH)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GraphModule(setting.network(cell))
    scores = compute_proxies(module, NAMES, batches=batches)
    values = {name: float(f"{scores.values[name]:.6g}") if name in scores.values else None for name in NAMES}
    return {"architecture": str(cell), "proxies": values}
