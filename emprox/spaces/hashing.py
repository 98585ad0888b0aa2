"""A hash of labelled directed acyclic multigraphs that does not depend on the numbering of their nodes.

Every node gets a colour from all that lies before it and all that lies behind it. Where colours do not tell all nodes
apart, colour refinement and, after it, individualisation decide: each node of the first ambiguous colour is singled out in
turn, and the smallest certificate counts. So far two graphs share their hash exactly when they are isomorphic.

Individualisation can take exponential time, so it is bounded: a graph that needs more than `MAX_STEPS` steps of it, or more
work than `MAX_WORK` nodes and edges in total, is hashed by its refined colours. Whether a graph needs
more does not depend on its numbering, so isomorphic graphs still share their hash; two different graphs could share it only
if colour refinement cannot tell them apart, such as regular graphs with interchangeable labels. Cells are far below the bound.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

__all__ = ["MAX_STEPS", "MAX_WORK", "digest"]

MAX_STEPS = 2_000
"""Individualisations of one graph."""
MAX_WORK = 50_000
"""Individualisations times the number of nodes and edges."""

Rows = list[list[int]]


def digest(labels: Sequence[str], sources: Rows, targets: Rows) -> str:
    """Return 32 hexadecimal digits of a graph whose nodes are in topological order.

    Parameters
    ----------
    labels : sequence of str
        What each node is.
    sources, targets : list of list of int
        Neighbours of each node, repeated for parallel edges.
    """
    return _hashed([repr(_Certificate(labels, sources, targets).compute()).encode()], b"").hex()


class _Certificate:
    """One computation; holds the graph and counts the steps."""

    def __init__(self, labels: Sequence[str], sources: Rows, targets: Rows) -> None:
        self.labels, self.sources, self.targets = labels, sources, targets
        size = len(labels) + sum(map(len, sources))
        self.steps_left = max(1, min(MAX_STEPS, MAX_WORK // size))

    def compute(self) -> tuple[object, ...]:
        colours = self._refined(self._initial())
        try:
            return self._search(colours)
        except _TooManySteps:
            return ("refined", *self._written(colours))

    def _initial(self) -> list[int]:
        """Rank nodes by their label, all that leads to them and all that they lead to."""
        names = [label.encode() for label in self.labels]
        forward, backward = [b""] * len(names), [b""] * len(names)
        for v, name in enumerate(names):
            forward[v] = _hashed([name, *sorted([forward[u] for u in self.sources[v]])], b"<")
        for v in range(len(names) - 1, -1, -1):
            backward[v] = _hashed([names[v], *sorted([backward[u] for u in self.targets[v]])], b">")
        return _ranked(list(zip(forward, backward, strict=True)))

    def _refined(self, colours: list[int]) -> list[int]:
        """Refine colours by the colours of sources and targets until they no longer split."""
        count = len(set(colours))
        while count < len(colours):
            colours = _ranked([(colour, *self._around(v, colours)) for v, colour in enumerate(colours)])
            before, count = count, len(set(colours))
            if count == before:
                break
        return colours

    def _around(self, v: int, colours: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        sources, targets = self.sources[v], self.targets[v]
        return tuple(sorted([colours[u] for u in sources])), tuple(sorted([colours[u] for u in targets]))

    def _search(self, colours: list[int]) -> tuple[object, ...]:
        colours = self._without_twins(colours)
        sizes = Counter(colours)
        ambiguous = min((c for c, size in sizes.items() if size > 1), default=None)
        if ambiguous is None:
            return self._written(colours)
        last = ambiguous + sizes[ambiguous] - 1
        candidates = []
        for chosen in [v for v, colour in enumerate(colours) if colour == ambiguous]:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise _TooManySteps
            candidates.append(self._search(self._refined([last if v == chosen else c for v, c in enumerate(colours)])))
        return min(candidates)

    def _without_twins(self, colours: list[int]) -> list[int]:
        """Tell nodes apart that share all sources and targets: exchanging them changes nothing, so any order will do."""
        if len(set(colours)) == len(colours):
            return colours
        classes = defaultdict(list)
        for v, colour in enumerate(colours):
            classes[colour].append(v)
        colours = list(colours)
        for members in classes.values():
            if all(self.sources[v] == self.sources[members[0]] and self.targets[v] == self.targets[members[0]] for v in members):
                for offset, v in enumerate(members):
                    colours[v] += offset
        return colours

    def _written(self, colours: list[int]) -> tuple[object, ...]:
        edges = sorted((colours[s], colours[t]) for s, row in enumerate(self.targets) for t in row)
        labels = [label for _, label in sorted(zip(colours, self.labels, strict=True))]
        return (tuple(labels), tuple(edges))


class _TooManySteps(Exception):  # noqa: N818
    pass


def _ranked(keys: Sequence[tuple[Any, ...]]) -> list[int]:
    """Replace keys by the number of smaller keys."""
    first: dict[tuple[Any, ...], int] = {}
    for position, key in enumerate(sorted(keys)):
        first.setdefault(key, position)
    return [first[key] for key in keys]


def _hashed(parts: list[bytes], separator: bytes) -> bytes:
    return blake2b(separator.join(parts), digest_size=16).digest()
