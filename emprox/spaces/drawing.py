"""Pictures of computation graphs: an SVG text without any other package, or matplotlib axes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from emprox._optional import import_optional
from emprox.spaces.graph import ComputationGraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "layout", "to_svg"]

COLUMN, ROW, HEIGHT, CHARACTER = 150, 60, 28, 7.5
"""Distance of neighbours in a layer and of layers, height of a box and width of a letter, in pixels."""

ARROW = {"arrowstyle": "->", "color": "gray", "shrinkA": 10, "shrinkB": 10}


def layout(graph: ComputationGraph) -> list[tuple[float, int]]:
    """Return (x, layer) of each node, layers from the input down; nodes of a layer stand next to each other around x = 0.

    A node's layer is its longest distance from the nodes without sources, the output's is the last; in a layer, nodes are
    ordered by the mean place of their sources. Takes time linear in nodes and edges, but for sorting.
    """
    sources = graph.neighbours[0]
    layer = [0] * len(graph)
    for node in range(1, len(graph)):
        layer[node] = 1 + max((layer[s] for s in sources[node]), default=0)
    layer[-1] = max([layer[-1], *[depth + 1 for depth in layer[:-1]]])
    members: dict[int, list[int]] = {}
    for node, depth in enumerate(layer):
        members.setdefault(depth, []).append(node)
    x = [0.0] * len(graph)
    for depth in sorted(members):
        row = members[depth]
        row.sort(key=lambda node: (sum(x[s] for s in sources[node]) / max(1, len(sources[node])), node))
        for place, node in enumerate(row):
            x[node] = place - (len(row) - 1) / 2
    return list(zip(x, layer, strict=True))


def to_svg(graph: ComputationGraph) -> str:
    """Return an SVG document with a box for each node and a curve for each edge, parallel edges side by side.

    >>> to_svg(ComputationGraph(("input", "conv", "output"), ((0, 1), (1, 2)))).count("<rect")
    3
    """
    places = layout(graph)
    widths = [max(40.0, CHARACTER * len(label) + 12) for label in _labels(graph)]
    column = max(COLUMN, max(widths) + 20)
    left = min(x for x, _ in places) * column - column / 2
    centre = [(x * column - left, ROW * depth + ROW / 2) for x, depth in places]
    width = max(x for x, _ in places) * column - left + column / 2
    height = ROW * (max(depth for _, depth in places) + 1)
    curves = [_curve(centre[s], centre[t], shift) for s, t, shift in _shifted(graph)]
    boxes = [_box(*centre[node], widths[node], label) for node, label in enumerate(_labels(graph))]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="monospace" font-size="12">'
    )
    return "\n".join([head, *curves, *boxes, "</svg>"])


def draw(graph: ComputationGraph, ax: Axes | None = None) -> Axes:
    """Draw a graph with matplotlib (extra ``plots``) and return the axes.

    Parameters
    ----------
    graph : ComputationGraph
        What to draw; readable up to a few dozen nodes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    """
    pyplot = import_optional("matplotlib.pyplot", "plots")
    places = [(x, -depth) for x, depth in layout(graph)]
    width, height = max(x for x, _ in places) - min(x for x, _ in places), -min(y for _, y in places)
    axes: Axes = pyplot.subplots(figsize=(1.5 * width + 3, 0.7 * height + 1))[1] if ax is None else ax
    for s, t, shift in _shifted(graph):
        style = f"arc3,rad={0.02 * shift}"
        axes.annotate("", places[t], places[s], arrowprops={**ARROW, "connectionstyle": style})
    for place, label in zip(places, _labels(graph), strict=True):
        axes.text(*place, label, ha="center", va="center", bbox={"boxstyle": "round", "facecolor": "white"})
    axes.set_xlim(-width / 2 - 1, width / 2 + 1)
    axes.set_ylim(-height - 0.5, 0.5)
    axes.set_axis_off()
    return axes


def _labels(graph: ComputationGraph) -> list[str]:
    if not graph.attributes:
        return list(graph.kinds)
    nodes = zip(graph.kinds, graph.attributes, strict=True)
    words = [[kind, a.function, "x".join(map(str, a.kernel)), str(a.channels or "")] for kind, a in nodes]
    return [" ".join(filter(None, parts)) for parts in words]


def _shifted(graph: ComputationGraph) -> list[tuple[int, int, float]]:
    """Return (source, target, sideways shift in pixels) of each edge; parallel edges get different shifts."""
    seen: dict[tuple[int, int], int] = {}
    shifted = []
    for edge in graph.edges:
        seen[edge] = seen.get(edge, -1) + 1
        shifted.append((*edge, 10.0 * seen[edge]))
    return shifted


def _curve(start: tuple[float, float], end: tuple[float, float], shift: float) -> str:
    (x1, y1), (x2, y2) = (start[0] + shift, start[1] + HEIGHT / 2), (end[0] + shift, end[1] - HEIGHT / 2)
    bend = (y2 - y1) / 2
    path = f"M{x1:.1f},{y1:.1f} C{x1:.1f},{y1 + bend:.1f} {x2:.1f},{y2 - bend:.1f} {x2:.1f},{y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="gray"/>'


def _box(x: float, y: float, width: float, label: str) -> str:
    box = f'<rect x="{x - width / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{width:.1f}" height="{HEIGHT}" rx="5" fill="white" '
    return f'{box}stroke="black"/><text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{escape(label)}</text>'
