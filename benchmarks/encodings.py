"""Seconds that each encoding takes on one thread: ``OMP_NUM_THREADS=1 python benchmarks/encodings.py``."""

from __future__ import annotations

import time

import numpy as np

from emprox.encodings import ENCODINGS, get_encoding
from emprox.errors import InvalidOptionError
from emprox.spaces import SPACES, get_space


def main() -> None:
    print("| space | architectures | encoding | columns | seconds |\n|---|---|---|---|---|")
    for space in map(get_space, SPACES):
        drawn = list(space) if space.size < 20_000 else space.sample(np.random.default_rng(0), 10_000)
        for name in ENCODINGS:
            try:
                encoding = get_encoding(name, space)
            except InvalidOptionError:
                continue  # the space has too many paths for the path encoding
            encoding.transform(drawn[:10])  # what is set up once for a space
            start = time.perf_counter()
            columns = encoding.transform(drawn[10:]).shape[1]
            seconds = time.perf_counter() - start
            print(f"| {space.name} | {len(drawn) - 10:,} | {name} | {columns} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
