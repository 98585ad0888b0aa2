"""Graphs of timm's networks: traced once, which takes minutes and timm, then kept in a checked folder that needs neither."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emprox._optional import import_optional
from emprox.errors import CorruptFileError, EmproxError
from emprox.parallel import Engine, run
from emprox.persistence import MANIFEST, read_folder, write_folder
from emprox.spaces import ComputationGraph
from emprox.spaces.storage import load_npz, save_npz
from emprox.tables.files import download_folder, places

if TYPE_CHECKING:
    import torch

__all__ = ["FOLDER", "TracedNetwork", "keep", "timm_graphs"]

FOLDER = "timm-imagenet-graphs"
"""Name of the folder, beside the files of tables."""
GRAPHS = "graphs.npz"
STEP = 100
"""Networks after which what was traced is written down."""

Key = tuple[str, int]
"""Name of an architecture, and height and width of its images."""


@dataclass(frozen=True)
class TracedNetwork:
    """A network of timm, as far as tables need it."""

    family: str
    """The module of timm that defines it, such as ``resnet``."""
    graph: ComputationGraph | None
    """Its graph, or None where it cannot be made or traced."""
    error: str = ""
    """Why not."""


def timm_graphs(keys: Iterable[Key], first: Sequence[Path] = (), engine: Engine | None = None) -> dict[Key, TracedNetwork]:
    """Return networks by name and image size; what is in no place yet is traced and written to the download folder.

    Parameters
    ----------
    keys : iterable of (name, image size)
        The networks that are needed.
    first : sequence of Path
        Where the folder is looked for before the usual places.
    engine : Engine, optional
        Where networks are traced; by default here.

    Raises
    ------
    MissingDependencyError
        If something has to be traced and timm is not installed.
    CorruptFileError
        If the folder found first is damaged.
    """
    known = _kept(first)
    missing = sorted(set(keys) - known.keys())
    for start in range(0, len(missing), STEP):
        known |= _traced(missing[start : start + STEP], len(missing) - start, engine)
        keep(known, download_folder() / FOLDER)
    return known


def _kept(first: Sequence[Path]) -> dict[Key, TracedNetwork]:
    """Return what the first place with such a folder has."""
    for place in [*first, *places()]:
        if (place / FOLDER / MANIFEST).is_file():
            return _read(place / FOLDER)
    return {}


def _read(folder: Path) -> dict[Key, TracedNetwork]:
    rows = read_folder(folder)["networks"]
    graphs = iter(load_npz(folder / GRAPHS))
    try:
        return {
            (name, int(size)): TracedNetwork(family, None if error else next(graphs), error) for name, size, family, error in rows
        }
    except (TypeError, ValueError, StopIteration) as error:
        raise CorruptFileError(f"{folder} does not hold the networks it lists; remove it, it is then traced again") from error


def keep(networks: dict[Key, TracedNetwork], folder: Path) -> None:
    """Write networks to a folder, as a whole or not at all; its manifest has the checksum of their graphs."""

    def write(staging: Path) -> dict[str, Any]:
        save_npz(staging / GRAPHS, [network.graph for network in networks.values() if network.graph is not None])
        rows = [(*key, network.family, network.error) for key, network in networks.items()]
        return {"kind": "timm graphs", "networks": rows}

    write_folder(folder, write)


def _traced(keys: Sequence[Key], left: int, engine: Engine | None) -> dict[Key, TracedNetwork]:
    import_optional("timm", "timm")
    warnings.warn(f"tracing {left} networks of timm, about a second each; this is done once", stacklevel=2)
    return {keys[position]: network for position, network in sorted(run(_trace, keys, engine=engine))}


def _trace(key: Key) -> TracedNetwork:
    """Trace one network on the meta device, which makes no weights."""
    import torch

    from emprox.spaces.tracing import from_module

    (name, size), timm = key, import_optional("timm", "timm")
    family = inspect.getmodule(timm.model_entrypoint(name)).__name__.rpartition(".")[2]  # type: ignore[union-attr]
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = _made(timm, name, size)
            graph = from_module(module, torch.zeros(1, 3, size, size))
    except EmproxError as error:
        return TracedNetwork(family, None, str(error)[:300])
    except Exception as error:  # whatever timm raises for a size that the network cannot take
        return TracedNetwork(family, None, f"{type(error).__name__}: {error}"[:300])
    return TracedNetwork(family, graph)


def _made(timm: Any, name: str, size: int) -> torch.nn.Module:
    """Return the network for images of that size; a network that is made for one size is told, any other takes all."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if config is not None and max(config.input_size[1:]) != size:
        try:
            return timm.create_model(name, img_size=size).eval()
        except TypeError:  # it has no such option
            pass
    return timm.create_model(name).eval()
