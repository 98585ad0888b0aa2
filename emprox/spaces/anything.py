"""The open family of all networks: torch modules, ONNX files, computation graphs, architectures of any search space."""

from __future__ import annotations

import base64
import importlib
import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from emprox.errors import CorruptFileError, InvalidArchitectureError, InvalidOptionError
from emprox.spaces.family import Architecture, ArchitectureFamily, family_names, get_family
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import PRIMITIVES
from emprox.spaces.storage import from_json, to_json

if TYPE_CHECKING:
    import torch

__all__ = ["NamedGraph", "Networks"]

PREFIX = "graph#"
"""What the text form of a graph starts with; its name, a colon and the packed graph follow."""
LARGEST = 1 << 25
"""Bytes of an unpacked graph that are too many."""
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
DESCRIPTIONS = (
    "a torch.nn.Module, a pair (module, example_inputs), a ComputationGraph with attributes, a path that ends in .onnx, "
    "'package.module:factory', or 'space:description' of a search space"
)


@dataclass(frozen=True)
class NamedGraph:
    """The graph of a network and what to call it; equal if the graphs are."""

    graph: ComputationGraph
    """With attributes, in the vocabulary of `emprox.spaces.primitives`."""
    name: str = field(default="", compare=False)
    """For people to read."""

    @cached_property
    def _hash(self) -> int:
        return hash((self.graph.kinds, self.graph.edges))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return NamedGraph, (self.graph, self.name)  # hashes of texts are others in another process


class Networks(ArchitectureFamily):
    """All networks. They can be read, hashed and estimated; they cannot be sampled, and have no cells.

    Parameters
    ----------
    input_shape : sequence of int or text, optional
        Shape of one input without the batch, (3, 224, 224) or ``"3x224x224"``, for modules given without example inputs and
        for what an ONNX file leaves open. Without it a module's own ``example_input_array`` (Lightning) or
        ``pretrained_cfg["input_size"]`` (timm) is taken.

    Examples
    --------
    >>> from torch import nn
    >>> family = Networks(input_shape=(3, 8, 8))
    >>> net = family.parse(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    >>> family.network(net).kinds
    ('input', 'conv', 'activation', 'output')
    >>> family.restore(str(net)) == net
    True
    """

    name = "network"
    default_encoding: ClassVar[str] = "network"

    def __init__(self, *, input_shape: Sequence[int] | str | int | None = None) -> None:
        self.input_shape = None if input_shape is None else _shape(input_shape)

    @property
    def setting(self) -> str:
        """``network``, or ``network:input_shape=3x224x224``."""
        shape = self.input_shape
        return self.name if shape is None else f"{self.name}:input_shape={'x'.join(map(str, shape))}"

    def read(self, description: Any) -> Architecture:
        """Return the architecture; one of a search space becomes its network."""
        if not isinstance(description, Architecture):
            return self.parse(description)
        if description.space == self.name:
            return description
        family = get_family(description.space)
        return self._architecture(family.to_graph(description, "network"), f"{family.name}:{family.label(description)}")

    def parse(self, description: Any) -> Architecture:
        """Return the architecture of a module, graph, ONNX file, factory of a module, or description in a search space.

        A text ``package.module:factory`` imports the module and calls the factory without arguments: only read texts that you
        trust, or use `restore`.
        """
        if isinstance(description, str):
            return self._of_text(description.strip())
        if isinstance(description, Path):
            return self._of_onnx(description)
        if isinstance(description, NamedGraph):
            return self._architecture(description.graph, description.name)
        if isinstance(description, ComputationGraph):
            return self._architecture(description, "")
        module, inputs = description if _is_pair(description) else (description, None)
        if not _is_module(module):
            raise InvalidArchitectureError(f"expected {DESCRIPTIONS}; got {type(description).__name__}: {description!r:.80}")
        return self._of_module(module, inputs, type(module).__name__)

    def named(self, description: Any, name: str) -> Architecture:
        """Return the architecture under a name for people to read, which explanations show."""
        return self._architecture(self.network(self.read(description)), name)

    def restore(self, text: str) -> Architecture:
        """Return the network of a text that `format` wrote; no other text is read."""
        name, colon, packed = text.removeprefix(PREFIX).rpartition(":")
        if not text.startswith(PREFIX) or not colon:
            raise InvalidArchitectureError(f"expected the text of a graph, {PREFIX}name:..., got {text[:80]!r}")
        try:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(base64.urlsafe_b64decode(packed), LARGEST)
            if not unpacker.eof:
                raise ValueError("cut off, or too large")
            graph = from_json(data.decode())
        except (ValueError, zlib.error, CorruptFileError) as error:
            raise InvalidArchitectureError(f"the text of the graph {name!r} is damaged: {error}") from error
        return self._architecture(graph, name)

    def format(self, architecture: Architecture) -> str:
        """Return the graph as text, some bytes for each node, its name in front."""
        named = self._spec(architecture)
        packed = zlib.compress(to_json(named.graph).encode(), 9)
        return f"{PREFIX}{named.name}:{base64.urlsafe_b64encode(packed).decode()}"

    def label(self, architecture: Architecture) -> str:
        """Return the name, or the size of a graph without one."""
        named = self._spec(architecture)
        return named.name or f"graph of {len(named.graph)} nodes, {named.graph.parameters:,} parameters"

    def network(self, architecture: Architecture, **options: Any) -> ComputationGraph:
        """Return the graph; there are no options."""
        if options:
            raise InvalidOptionError(f"a network that is given has no options, got {sorted(options)}")
        return self._spec(architecture).graph

    def recognises(self, description: Any) -> bool:
        """Whether it is a module, a pair with one, a graph, or a text of this family's own kinds."""
        if isinstance(description, Architecture):
            return description.space == self.name
        if isinstance(description, Path):
            return description.suffix == ".onnx"
        if isinstance(description, str):
            text = description.strip()
            return (
                text.startswith((PREFIX, f"{self.name}:"))
                or text.endswith(".onnx")
                or (FACTORY.fullmatch(text) is not None and text.partition(":")[0] not in family_names())
            )
        return isinstance(description, NamedGraph | ComputationGraph) or _is_module(description) or _is_pair(description)

    def _spec(self, architecture: Architecture) -> NamedGraph:
        spec = self.check(architecture).spec
        if not isinstance(spec, NamedGraph):
            raise InvalidArchitectureError(f"expected a NamedGraph as spec of a network, got {spec!r:.80}; use parse")
        return spec

    def _architecture(self, graph: ComputationGraph, name: str) -> Architecture:
        if not graph.attributes or not PRIMITIVES.keys() >= set(graph.kinds):
            raise InvalidArchitectureError(
                f"expected the graph of a network, with attributes, in the operators {', '.join(PRIMITIVES)}; got operators "
                f"{sorted(set(graph.kinds))[:10]} {'with' if graph.attributes else 'without'} attributes"
            )
        return Architecture(self.name, NamedGraph(graph, name))

    def _of_text(self, text: str) -> Architecture:
        text = text.removeprefix(f"{self.name}:").strip()
        space, _, rest = text.partition(":")
        if text.startswith(PREFIX):
            return self.restore(text)
        if space in family_names():
            return self.read(get_family(space).parse(rest))
        if text.endswith(".onnx"):
            return self._of_onnx(Path(text))
        if FACTORY.fullmatch(text):
            made = _made(text)
            module, inputs = made if _is_pair(made) else (made, None)
            if not _is_module(module):
                raise InvalidArchitectureError(f"{text} returned {made!r:.80}, expected a torch.nn.Module or (module, inputs)")
            return self._of_module(module, inputs, text)
        raise InvalidArchitectureError(f"expected {DESCRIPTIONS}; got the text {text[:80]!r}")

    def _of_onnx(self, path: Path) -> Architecture:
        from emprox.spaces.tracing import from_onnx

        shape = None if self.input_shape is None else (1, *self.input_shape)
        return self._architecture(from_onnx(path, input_shape=shape), path.name)

    def _of_module(self, module: torch.nn.Module, inputs: Any, name: str) -> Architecture:
        from emprox.spaces.tracing import from_module

        return self._architecture(from_module(module, self._example(module, name) if inputs is None else inputs), name)

    def _example(self, module: torch.nn.Module, name: str) -> Any:
        """Return example inputs of a module that came without."""
        import torch

        config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
        own = getattr(module, "example_input_array", None)
        if self.input_shape is None and own is not None:
            return own
        shape = self.input_shape or (config.get("input_size") if isinstance(config, dict) else None)
        if shape is None:
            raise InvalidArchitectureError(
                f"{name} came without an example input: pass a pair (module, example_inputs), or the shape of one input, "
                f"space=Networks(input_shape=(3, 224, 224)), on the command line --input-shape 3,224,224"
            )
        first = next(module.parameters(), None)
        return torch.zeros(1, *shape, device=None if first is None else first.device)


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")  # a module cannot be there without it
    return torch is not None and isinstance(value, torch.nn.Module)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and _is_module(value[0])


def _made(text: str) -> Any:
    """Return what a factory, ``package.module:factory``, makes."""
    name, _, attribute = text.partition(":")
    try:
        factory = attrgetter(attribute)(importlib.import_module(name))
    except (ImportError, AttributeError) as error:
        raise InvalidArchitectureError(
            f"cannot import {text}: {error}; expected package.module:factory that Python finds, or {DESCRIPTIONS}"
        ) from error
    if _is_module(factory):
        return factory
    try:
        return factory()
    except Exception as error:  # whatever the factory's own code raises
        raise InvalidArchitectureError(f"{text}() raised {type(error).__name__}: {error}") from error


def _shape(given: Sequence[int] | str | int) -> tuple[int, ...]:
    """Return a shape from numbers or from text, ``3x224x224`` or ``3,224,224``."""
    try:
        parts = re.split("[x,]", given) if isinstance(given, str) else [given] if isinstance(given, int) else given
        shape = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        shape = ()
    if not shape or min(shape) < 1:
        raise InvalidOptionError(
            f"input_shape is the shape of one input without the batch, such as (3, 224, 224) or '3x224x224'; got {given!r}"
        )
    return shape
