"""Candidates bred from the best: mutations, crossings, and fresh draws."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from emprox.search.pools import Pool, TablePool
from emprox.spaces import Architecture

__all__ = ["breed"]

TRIES = 2
"""Attempts for each child: many are known or outside the bounds."""
TWICE = 0.5
"""Share of mutations that are two, one after the other."""
DRAWN_AT_MOST = 20
"""Fresh draws from a space at a time: each has to be hashed."""


def breed(
    pool: Pool,
    parents: Sequence[Architecture],
    count: int,
    shares: Sequence[float],
    taken: Collection[str],
    told: Collection[Architecture],
    rng: np.random.Generator,
) -> dict[Architecture, str]:
    """Return about so many candidates with their origin, of different description and, in a table, of different function.

    Parameters
    ----------
    pool : Pool
    parents : sequence of Architecture
    count : int
        A table with no more left is returned as a whole.
    shares : sequence of float
        Of mutation, crossing and drawing.
    taken : collection of str
        Hashes that are not asked again. In a space candidates may still be twins of them: hashing all would take too long.
    told : collection of Architecture
        Descriptions that are known.
    rng : Generator
    """
    if isinstance(pool, TablePool) and pool.size - len(taken) <= count:
        return dict.fromkeys(pool.sample(rng, count, taken), "sample")
    found: dict[Architecture, str] = {}
    for origin, share in zip(("mutation", "crossover"), shares, strict=False):
        wanted = round(count * share / sum(shares))
        children = (_child(pool, parents, origin, rng) for _ in range(TRIES * wanted))
        before = len(found)
        for child in children:
            if len(found) - before >= wanted:
                break
            if child not in told and child not in found and _is_open(pool, child, taken):
                found[child] = origin
    drawn = count - len(found)
    if not isinstance(pool, TablePool):
        drawn = max(1, min(drawn, DRAWN_AT_MOST))
    for architecture in pool.sample(rng, drawn, taken):
        found.setdefault(architecture, "sample")
    return found


def _child(pool: Pool, parents: Sequence[Architecture], origin: str, rng: np.random.Generator) -> Architecture:
    parent = parents[int(rng.integers(len(parents)))]
    if origin == "crossover":
        return pool.crossover(parent, parents[int(rng.integers(len(parents)))], rng)
    child = pool.mutate(parent, rng)
    return pool.mutate(child, rng) if rng.random() < TWICE else child


def _is_open(pool: Pool, architecture: Architecture, taken: Collection[str]) -> bool:
    return pool.key(architecture) not in taken if isinstance(pool, TablePool) else pool.allows(architecture)
