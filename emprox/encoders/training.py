"""What every torch model here is trained and saved with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emprox.encoders.checkpoints import Checkpoint
from emprox.errors import CorruptFileError

__all__ = ["read_weights", "seeded", "train", "write_weights"]


@contextmanager
def seeded(random_state: int | None, device: str) -> Iterator[None]:
    """Seed torch for a training, afresh where there is no seed; its generators are as they were afterwards."""
    chosen = torch.device(device)
    with torch.random.fork_rng(devices=[chosen.index or 0] if chosen.type == "cuda" else []):
        if random_state is None:
            torch.seed()
        else:
            torch.manual_seed(random_state)
        yield


def train(
    network: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    rows: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    gradient_clip: float | None = None,
    progress: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
    **adam: Any,
) -> list[float]:
    """Train with Adam, every row once in each epoch in random order; leave the network in evaluation mode.

    Parameters
    ----------
    network : Module
        What is trained.
    loss_of : callable
        Loss of a batch, given as row numbers (B,).
    rows : int
        Number of rows.
    epochs, batch_size : int
        Passes over the rows, and rows in a step.
    learning_rate : float
        Of Adam.
    gradient_clip : float, optional
        Largest norm of a step's gradient.
    progress : callable, optional
        Called after each epoch with its number (from 1) and its mean loss.
    checkpoint : Checkpoint, optional
        Where the training is kept after each epoch, and goes on from; the result is that of one never interrupted.
    **adam
        Other options of ``torch.optim.Adam``.

    Returns
    -------
    list of float
        Mean loss of each epoch.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True, **adam)
    losses = [] if checkpoint is None else checkpoint.restore(network, optimizer)
    network.train()
    for epoch in range(len(losses) + 1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(rows).split(batch_size):
            optimizer.zero_grad()
            loss = loss_of(batch)
            loss.backward()
            if gradient_clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), gradient_clip)
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / rows)
        if checkpoint is not None:
            checkpoint.save(network, optimizer, losses)
        if progress is not None:
            progress(epoch, losses[-1])
    network.eval()
    return losses


def write_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file)


def read_weights(network: nn.Module, file: Path) -> None:
    """Read the weights that `write_weights` wrote into a network of the same shape, and put it into evaluation mode.

    Raises
    ------
    CorruptFileError
        If the file holds something else.
    """
    try:
        network.load_state_dict(load_file(file))
    except Exception as error:  # safetensors and torch raise several unrelated types
        raise CorruptFileError(f"{file} does not hold the weights of this network: {error}") from error
    network.eval()
