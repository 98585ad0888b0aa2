"""Weights of the Once-for-all MobileNetV3 supernet for one of its sub-networks, by the names of the published checkpoint.

Letters: c and o input and output channels, k kernel size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emprox.errors import CorruptFileError, StorageError

__all__ = ["load_supernet", "read_supernet"]

SLOTS = 4
"""Blocks of a stage of the supernet, of which a sub-network takes the first."""
RENAMED = {
    ".mobile_inverted_conv.": ".conv.",
    ".bn.bn.": ".bn.",
    ".conv.conv.weight": ".conv.weight",
    ".linear.linear.": ".linear.",
}
"""Spellings of older and newer versions of the published code, and the one that is used here."""
SHRINKS = ((7, 5), (5, 3))
"""Kernel sizes between which the supernet learned a linear map of the centre."""


def read_supernet(source: str | Path | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a supernet's weights by name from a ``.safetensors`` file, a torch checkpoint, or a mapping; no code is run.

    Raises
    ------
    StorageError
        If the file cannot be read.
    CorruptFileError
        If it holds no weights by name.
    """
    state: Any = source
    if isinstance(source, str | Path):
        state = _read(Path(source))
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CorruptFileError(f"expected weights by name, got {type(state).__name__}; pass a state_dict or its file")
    renamed = {}
    for name, value in state.items():
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        renamed[name] = value
    return renamed


def load_supernet(
    layers: Sequence[nn.Module], stages: Sequence[Sequence[tuple[int, int]]], gated: Sequence[bool], source: Any
) -> None:
    """Fill a sub-network's layers with its part of a supernet's weights.

    Expanded channels are the first of the supernet's, which are sorted by importance; a smaller kernel is the centre of the next
    larger, mapped by the matrix that the supernet learned for it.

    Parameters
    ----------
    layers : sequence of Module
        Convolutions, batch normalisations and linear layers, in the order in which data pass them.
    stages : sequence of sequence of pair
        Kernel size and expansion of the blocks of each stage.
    gated : sequence of bool
        Which stages have squeeze and excitation.
    source : str, Path or mapping
        As `read_supernet` takes it.

    Raises
    ------
    CorruptFileError
        If a weight is missing or too small.
    """
    state = read_supernet(source)
    with torch.no_grad():
        for layer, name in zip(layers, _names(stages, gated), strict=True):
            if isinstance(layer, nn.Conv2d) and layer.groups > 1 and name != "blocks.0.conv.depth_conv.conv":
                _copy(layer.weight, _shrunk(state, name, layer.kernel_size[0]), name)
            else:
                for part, target in (*layer.named_parameters(), *layer.named_buffers()):
                    if part != "num_batches_tracked":
                        _copy(target, _weight(state, f"{name}.{part}"), f"{name}.{part}")


def _read(path: Path) -> Any:
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise StorageError(f"cannot read the supernet's weights {path}: {error}") from error
    except Exception as error:  # both readers raise several unrelated types
        raise CorruptFileError(f"{path} holds no weights: {error}") from error


def _names(stages: Sequence[Sequence[tuple[int, int]]], gated: Sequence[bool]) -> Iterator[str]:
    """Yield the supernet's name of each layer, in the order in which data pass them."""
    yield from ("first_conv.conv", "first_conv.bn")
    yield from (f"blocks.0.conv.{part}" for part in ("depth_conv.conv", "depth_conv.bn", "point_linear.conv", "point_linear.bn"))
    for stage, blocks in enumerate(stages):
        for position in range(len(blocks)):
            block = f"blocks.{1 + SLOTS * stage + position}.conv"
            yield from (f"{block}.inverted_bottleneck.conv", f"{block}.inverted_bottleneck.bn")
            yield from (f"{block}.depth_conv.conv", f"{block}.depth_conv.bn")
            if gated[stage]:
                yield from (f"{block}.depth_conv.se.fc.reduce", f"{block}.depth_conv.se.fc.expand")
            yield from (f"{block}.point_linear.conv", f"{block}.point_linear.bn")
    yield from ("final_expand_layer.conv", "final_expand_layer.bn", "feature_mix_layer.conv", "classifier.linear")


def _weight(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise CorruptFileError(f"the supernet's weights lack {name!r}; expected those of ofa_mbv3_d234_e346_k357_w1.0")
    return state[name]


def _shrunk(state: Mapping[str, Tensor], name: str, size: int) -> Tensor:
    """Return the supernet's depthwise kernels (c, 1, 7, 7) at a smaller size, (c, 1, k, k)."""
    kernels = _weight(state, f"{name}.weight")
    for large, small in SHRINKS:
        if size < large:
            border = (large - small) // 2
            centre = kernels[:, :, border : border + small, border : border + small].reshape(-1, small**2)
            kernels = (centre @ _weight(state, f"{name}.{large}to{small}_matrix").T).reshape(-1, 1, small, small)
    return kernels


def _copy(target: Tensor, weight: Tensor, name: str) -> None:
    """Copy the first channels (o, c, k, k) of a weight."""
    if weight.dim() != target.dim() or any(have < need for have, need in zip(weight.shape, target.shape, strict=True)):
        raise CorruptFileError(f"the supernet's {name!r} has shape {tuple(weight.shape)}, too small for {tuple(target.shape)}")
    start = 0 if name.startswith("classifier") else 2
    if weight.shape[start:] != target.shape[start:]:
        raise CorruptFileError(f"the supernet's {name!r} has shape {tuple(weight.shape)}, expected {tuple(target.shape)}")
    target.copy_(weight[tuple(slice(length) for length in target.shape)])
