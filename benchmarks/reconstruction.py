"""Train the autoencoder on all NAS-Bench-201 cells but 1,000 and decode those: ``python benchmarks/reconstruction.py``."""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from emprox.encoders import SequenceAutoencoder
from emprox.spaces import get_space


def main() -> None:
    torch.set_num_threads(1)
    cells = list(get_space("nasbench201"))
    order = np.random.default_rng(0).permutation(len(cells))
    train, held_out = ([cells[i] for i in part] for part in (order[:-1000], order[-1000:]))
    encoder = SequenceAutoencoder(epochs=20, learning_rate=3e-3, weight_decay=0.0, random_state=0)
    start = time.perf_counter()
    encoder.fit(train)
    print(json.dumps({"fit_seconds": round(time.perf_counter() - start), **encoder.reconstruction_accuracy(held_out)}))


if __name__ == "__main__":
    main()
