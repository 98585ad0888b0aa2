"""A training that was interrupted goes on where it was: weights, optimizer, random generator and losses in one file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Adam

from emprox.errors import CorruptFileError, InvalidOptionError
from emprox.persistence import write_file

__all__ = ["Checkpoint", "fingerprint"]


def fingerprint(graphs: Iterable[Any], values: Any = None) -> str:
    """Return the hash of what is learned from: PyTorch Geometric ``Data``, and numbers where there are labels."""
    digest = sha256()
    for graph in graphs:
        for tensor in (graph.x, graph.attributes, graph.edge_index):
            digest.update(tensor.numpy().tobytes())
    if values is not None:
        digest.update(np.asarray(values, dtype=np.float64).tobytes())
    return digest.hexdigest()


class Checkpoint:
    """The state of a training after its last finished epoch, a safetensors file.

    Parameters
    ----------
    file : str or Path
        Written after each epoch, as a whole or not at all.
    about : dict
        What identifies the training, JSON; a file of another training is an error.
    """

    def __init__(self, file: str | Path, about: dict[str, Any]) -> None:
        self.file = Path(file)
        self.about = json.dumps(about, sort_keys=True)

    def save(self, network: nn.Module, optimizer: Adam, losses: list[float]) -> None:
        """Write the state after ``len(losses)`` epochs, with torch's random generator."""
        tensors: dict[str, Tensor] = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
        tensors["random"] = torch.get_rng_state()
        metadata = {"about": self.about, "losses": json.dumps(losses)}
        write_file(self.file, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))

    def restore(self, network: nn.Module, optimizer: Adam) -> list[float]:
        """Bring everything back to the state in the file and return the losses until then; [] where there is no file.

        Raises
        ------
        InvalidOptionError
            If the file is of another training.
        CorruptFileError
            If it cannot be read.
        """
        if not self.file.exists():
            return []
        try:
            with safe_open(self.file, framework="pt") as content:
                metadata = content.metadata() or {}
                tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
            if metadata["about"] != self.about:
                raise InvalidOptionError(
                    f"{self.file} is of another training, {metadata['about']}, expected {self.about}; "
                    "remove it or name another file"
                )
            network.load_state_dict(_below("network", tensors))
            states: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _below("optimizer", tensors).items():
                number, _, field = name.partition(".")
                states.setdefault(int(number), {})[field] = tensor
            optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
            torch.set_rng_state(tensors["random"])
            losses: list[float] = json.loads(metadata["losses"])
        except InvalidOptionError:
            raise
        except Exception as error:  # safetensors and torch raise several unrelated types
            raise CorruptFileError(
                f"{self.file} is no checkpoint of this training: {error!r}; remove it to start again"
            ) from error
        return losses


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
