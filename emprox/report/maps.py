"""An embedding in two dimensions, and what a click on an architecture shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emprox._optional import import_optional
from emprox.estimators import EmProx
from emprox.index import EmbeddingIndex
from emprox.report.candidates import CHOSEN, Candidates, quantity
from emprox.report.charts import Axis, Map, Panel, Series
from emprox.report.numbers import count, value
from emprox.report.predictions import Estimates
from emprox.spaces import Architecture

__all__ = ["PROJECTIONS", "embedding_map"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PROJECTIONS = {"tsne": "t-SNE", "umap": "UMAP"}
"""Ways to lay out an embedding in two dimensions."""
LAID_OUT, AMONG, TINY = 2000, 5, 1e-9
"""Most architectures that are laid out, which takes about ten seconds; neighbours among which others are placed, and what keeps
their weights finite."""
SHOWN = 6
"""Neighbours of each architecture."""
LARGEST = 40
"""Nodes of the largest graph that is drawn."""
Near = list[tuple[int, float, float | None]]


def embedding_map(
    model: EmProx,
    key: str,
    positions: Ints,
    estimates: Estimates,
    found: Candidates | None,
    larger_is_better: bool,
    projection: str,
) -> Map:
    """Return the map of what a model knows, and of the first candidates to measure next.

    Parameters
    ----------
    model : EmProx
    key : str
        Identifier in the page.
    positions, estimates
        Known architectures and their estimates without themselves.
    found : Candidates or None
        Candidates; the first of them are on the map.
    larger_is_better : bool
    projection : {"tsne", "umap"}
    """
    chosen = [] if found is None else found.architectures[:CHOSEN]
    n, first = len(model.y_), model.y_.reshape(len(model.y_), -1)[:, 0]
    known = model.index_.reconstruct(np.arange(n))
    embedded = np.concatenate([known, model.encoder_.transform(chosen)]) if chosen else known
    place = _laid_out(embedded, projection)
    labels = [model.space_.label(a) for a in (*model.architectures_, *chosen)]
    columns = _columns(n, first, positions, estimates, found, len(chosen))
    kinds, graphs = _graphs(model, [*model.architectures_, *chosen])
    near = [*_near_known(model, known, positions), *(_near_candidate(model, a) for a in chosen)]
    details = {
        "x": _rounded(place[:, 0]),
        "y": _rounded(place[:, 1]),
        "labels": labels,
        "columns": list(columns),
        "rows": [_rounded(column) for column in columns.values()],
        "near": near,
        "kinds": kinds,
        "graphs": graphs,
        "without_picture": f"More than {LARGEST} nodes: too large to draw.",
    }
    best = int(first.argmax() if larger_is_better else first.argmin())
    rest = f" {LAID_OUT:,} drawn at random are laid out, the others stand among the nearest of these." if n > LAID_OUT else ""
    text = (
        f"{count(n, 'measured architecture')} lie on the map; the best is {labels[best]} with {value(first[best])}. Its nearest "
        f"neighbours have {', '.join(value(first[j]) for j, *_ in near[best][:3])}. "
        + (f"Stars are the {len(chosen)} candidates that the model would measure next. " if chosen else "")
        + "The table below lists all of them; a name there shows the architecture as a click on the map does."
    )
    return Map(
        key,
        "Map of the embedding",
        f"{PROJECTIONS[projection]} of the {embedded.shape[1]} numbers of the embedding: near means estimated alike; axes have "
        "no "
        "unit. A click shows an architecture, its neighbours by weight, distances and weights, which are those of its estimate "
        f"without itself.{rest}",
        text,
        Axis(""),
        Axis(""),
        _panels(place, labels, columns, n, quantity(model)),
        details=details,
    )


def _laid_out(embedded: NDArray[np.float32], projection: str) -> Floats:
    """Return two coordinates for each embedding, (n, 2), with a fixed seed.

    Of more than `LAID_OUT` so many are drawn and laid out; each of the others stands among the nearest of these.
    """
    if len(embedded) <= LAID_OUT:
        return _projected(embedded, projection)
    drawn = np.random.default_rng(0).permutation(len(embedded))[:LAID_OUT]
    place, index = _projected(embedded[drawn], projection), EmbeddingIndex(embedded.shape[1])
    index.add(embedded[drawn])
    distances, near = index.search(embedded, AMONG)
    weights = 1 / (distances.astype(np.float64) + TINY)
    return np.asarray((place[near] * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _projected(embedded: NDArray[np.float32], projection: str) -> Floats:
    n = len(embedded)
    if projection == "umap":
        umap = import_optional("umap", "umap")
        return np.asarray(
            umap.UMAP(n_neighbors=min(15, n - 1), random_state=0, n_jobs=1).fit_transform(embedded), dtype=np.float64
        )
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (n - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(embedded), dtype=np.float64)


def _columns(
    n: int, first: Floats, positions: Ints, estimates: Estimates, found: Candidates | None, chosen: int
) -> dict[str, Floats]:
    """Return numbers of known architectures and then candidates; what does not apply is NaN."""
    columns = {name: np.full(n + chosen, np.nan) for name in ("measured", "estimate without it", "error", "interval width")}
    columns["measured"][:n] = first
    columns["estimate without it"][positions] = estimates.estimated
    columns["error"][positions] = estimates.estimated - estimates.measured
    if estimates.interval is not None:
        columns["interval width"][positions] = estimates.interval[1] - estimates.interval[0]
    if found is not None:
        columns["estimate without it"][n:] = found.estimates[:chosen]
        if found.interval is not None:
            columns["interval width"][n:] = (found.interval[1] - found.interval[0])[:chosen]
    return columns


def _panels(place: Floats, labels: Sequence[str], columns: dict[str, Floats], n: int, what: str) -> tuple[Panel, ...]:
    stars = Series(
        "measure next",
        place[n:, 0].tolist(),
        place[n:, 1].tolist(),
        notes=labels[n:],
        colour=5,
        ids=range(n, len(labels)),
    )
    panels = []
    for name in ("measured", "interval width", "error"):
        rows = np.flatnonzero(np.isfinite(columns[name][:n]))
        values = np.abs(columns[name][rows]) if name == "error" else columns[name][rows]
        shown = Series(
            "measured",
            place[rows, 0].tolist(),
            place[rows, 1].tolist(),
            "cloud",
            notes=[labels[i] for i in rows.tolist()],
            values=values.tolist(),
            value_name={"error": "absolute error", "interval width": "width of 90 % interval"}.get(name, f"measured {what}"),
            ids=rows.tolist(),
        )
        panels.append(Panel(f"colours for the {shown.value_name}", (shown, stars) if n < len(labels) else (shown,)))
    return tuple(panels)


def _near_known(model: EmProx, known: NDArray[np.float32], positions: Ints) -> list[Near]:
    """Return for each known architecture others by weight in its estimate without itself; the nearest if it was not left out."""
    near = _nearest(model, known)
    for position, (others, weights) in zip(positions.tolist(), model.weigher_.left_out_weights(), strict=True):
        heaviest = np.argsort(-np.abs(weights), kind="stable")[:SHOWN]
        distances = np.linalg.norm(known[others[heaviest]] - known[position], axis=1)
        triples = zip(others[heaviest].tolist(), distances.tolist(), weights[heaviest].tolist(), strict=True)
        near[position] = [(j, _short(distance), _short(weight)) for j, distance, weight in triples]
    return near


def _nearest(model: EmProx, known: NDArray[np.float32]) -> list[Near]:
    distances, others = model.index_.search(known, SHOWN + 1)
    rows = zip(distances.tolist(), others.tolist(), strict=True)
    near: list[Near] = []
    for i, row in enumerate(rows):
        others_of: Near = [(j, _short(d), None) for d, j in zip(*row, strict=True) if j != i]
        near.append(others_of[:SHOWN])
    return near


def _near_candidate(model: EmProx, candidate: Architecture) -> Near:
    distances, positions, weights = model.weigher_.weights(model.encoder_.transform([candidate]))
    heaviest = np.argsort(-np.abs(weights), kind="stable")[:SHOWN]
    return [(int(positions[i]), _short(distances[i]), _short(weights[i])) for i in heaviest]


def _graphs(model: EmProx, architectures: Sequence[Architecture]) -> tuple[list[str], list[Any]]:
    """Return names of kinds of nodes, and for each architecture its nodes by number and flat edges, None if it is too large."""
    kinds: dict[str, int] = {}
    graphs: list[Any] = []
    for architecture in architectures:
        graph = model.space_.to_graph(architecture)
        if len(graph) > LARGEST:
            graphs.append(None)
            continue
        nodes = [kinds.setdefault(kind, len(kinds)) for kind in graph.kinds]
        graphs.append([nodes, [end for edge in graph.edges for end in edge]])
    return list(kinds), graphs


def _rounded(values: Floats) -> list[float | None]:
    return [_short(value) if np.isfinite(value) else None for value in values.tolist()]


def _short(number: float) -> float:
    return float(f"{number:.4g}")
