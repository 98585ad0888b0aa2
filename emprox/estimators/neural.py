"""Torch networks as estimators: standardised measurements in, seeded training, weights saved as safetensors.

Letters: n architectures, B of them in a batch, M networks side by side.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emprox.encoders.training import read_weights, seeded, write_weights
from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.spaces import Architecture
from emprox.validation import standard_deviation

__all__ = ["NeuralRegressor"]

WEIGHTS = "network.safetensors"
CHUNK = 2048
"""Architectures estimated at a time; bounds memory."""


class NeuralRegressor(ArchitectureRegressor):
    """One or several torch networks of equal shape, trained on standardised measurements; their mean is the estimate.

    Subclasses say what the network sees (`_inputs`), what it is (`_build`, a module with ``predict``: inputs (B, ...) to
    (M, B)), and how it is trained (`_train`).

    Attributes
    ----------
    network_ : torch.nn.Module
        The trained network.
    losses_ : list of float
        Mean loss of each epoch.
    """

    device: str
    random_state: int | None
    network_: Any

    @abstractmethod
    def _inputs(self, architectures: list[Architecture]) -> Tensor:
        """Return what the network sees, (n, ...)."""

    @abstractmethod
    def _build(self) -> nn.Module:
        """Return the untrained network for the space, `space_`."""

    @abstractmethod
    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> list[float]:
        """Train `network_` on inputs (n, ...), standardised measurements (n,) and how much each counts (n,), 1 on average."""

    def _fit(self) -> None:
        self.mean_, self.scale_ = float(self.y_.mean()), standard_deviation(self.y_)
        targets = (self.y_ - self.mean_) / (self.scale_ or 1.0)
        precision = self._precision()
        weights = np.ones_like(targets) if precision is None else precision / precision.mean()
        with seeded(self.random_state, self.device):
            self.network_ = self._build().to(self.device)
            tensors = [torch.from_numpy(values).float().to(self.device) for values in (targets, weights)]
            self.losses_ = self._train(self._inputs(self.architectures_), *tensors)

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, Floats | None]:
        outputs = self._outputs(architectures)
        values = self.mean_ + self.scale_ * outputs.mean(axis=0)
        return values, self.scale_ * outputs.std(axis=0) if return_std else None

    def _outputs(self, architectures: list[Architecture]) -> Floats:
        """Return what each network says of standardised performance, (M, n)."""
        with torch.inference_mode():
            chunks = self._inputs(architectures).split(CHUNK)
            return torch.cat([self.network_.predict(chunk).cpu() for chunk in chunks], dim=1).numpy().astype(np.float64)

    def _write(self, folder: Path) -> dict[str, Any]:
        write_weights(self.network_, folder / WEIGHTS)
        return {"mean": self.mean_, "scale": self.scale_, "losses": self.losses_}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self.mean_, self.scale_, self.losses_ = state["mean"], state["scale"], list(state["losses"])
        self.network_ = self._build().to(self.device)
        read_weights(self.network_, folder / WEIGHTS)
