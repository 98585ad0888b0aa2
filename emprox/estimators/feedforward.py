"""Feed-forward networks over a fixed encoding: one of them, and BANANAS' ensemble.

Letters: B architectures in a batch, M networks, I inputs, W units of a layer, L layers.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from emprox.encoders.training import train
from emprox.encodings import get_encoding
from emprox.estimators.neural import NeuralRegressor
from emprox.spaces import Architecture, ArchitectureFamily
from emprox.validation import check_at_least

__all__ = ["BANANAS", "MLP"]


class Ensemble(nn.Module):
    """M feed-forward networks of equal shape, their weights stacked, so that one product serves all."""

    def __init__(self, members: int, inputs: int, layers: int, width: int) -> None:
        super().__init__()
        self.first = xavier(members, inputs, width)
        self.hidden = nn.Parameter(
            torch.stack([xavier(members, width, width).data for _ in range(layers - 1)] or [torch.empty(0)])
        )
        self.out = xavier(members, width, 1)
        self.biases = nn.Parameter(torch.zeros(layers, members, 1, width))
        self.shift = nn.Parameter(torch.zeros(members, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (M, B) for the inputs of each network (M, B, I)."""
        biases = self.biases.unbind()
        x = torch.baddbmm(biases[0], x, self.first).relu()
        for weight, bias in zip(self.hidden.unbind(), biases[1:], strict=False):
            x = torch.baddbmm(bias, x, weight).relu()
        return torch.bmm(x, self.out)[..., 0] + self.shift

    def predict(self, x: Tensor) -> Tensor:
        """Return outputs (M, B) for inputs (B, I) that all networks share."""
        outputs: Tensor = self(x.expand(len(self.first), *x.shape))
        return outputs


def xavier(members: int, inputs: int, outputs: int) -> nn.Parameter:
    """Return Glorot's uniform weights, (M, inputs, outputs)."""
    bound = (6 / (inputs + outputs)) ** 0.5
    return nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))


class MLP(NeuralRegressor):
    """Feed-forward network over the one-hot encoding, with NASLib's settings.

    Fitting costs about 4 s at 121 architectures on one thread, and grows with their number. The loss is the mean absolute
    error of standardised measurements, and the absolute output weights are penalised.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    encoding : str
        Name of an encoding, such as ``onehot`` or ``path``.
    layers, width : int
        Hidden layers, and units of each.
    epochs, batch_size : int
        Passes over the architectures, and architectures in a step.
    learning_rate : float
        Of Adam.
    penalty : float
        Weight of the sum of the absolute output weights in the loss.
    device : str
        Where torch computes.
    random_state : int or None
        Seed; torch's global generator is left as it was.

    References
    ----------
    White et al., *How Powerful are Performance Predictors in Neural Architecture Search?*, NeurIPS 2021, from whose code
    (NASLib) all defaults are: 20 layers of 20 units, 500 epochs, batches of 32, learning rate .001, penalty .2.
    """

    kind = "mlp"
    tunable: ClassVar = {
        "layers": list(range(5, 25)),
        "width": list(range(5, 25)),
        "learning_rate": [0.1, 0.01, 0.005, 0.001, 0.0001],
    }

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        encoding: str = "onehot",
        layers: int = 20,
        width: int = 20,
        epochs: int = 500,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        penalty: float = 0.2,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.encoding = encoding
        self.layers = layers
        self.width = width
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.device = device
        self.random_state = random_state

    @property
    def _members(self) -> int:
        return 1

    def _check_options(self) -> None:
        for name in ("layers", "width", "epochs", "batch_size"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "penalty"):
            check_at_least(name, getattr(self, name), 0, float)

    def _inputs(self, architectures: list[Architecture]) -> Tensor:
        return torch.from_numpy(get_encoding(self.encoding, self.space_).transform(architectures)).float().to(self.device)

    def _build(self) -> nn.Module:
        return Ensemble(self._members, len(get_encoding(self.encoding, self.space_).names), self.layers, self.width)

    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> list[float]:
        orders = torch.stack([torch.randperm(len(inputs)) for _ in range(self._members)])  # each network has its own batches

        def loss(batch: Tensor) -> Tensor:
            rows = orders[:, batch]
            error = (self.network_(inputs[rows]) - targets[rows]).abs() * weights[rows]
            return error.mean(1).sum() + self.penalty * self.network_.out.abs().sum()

        return train(
            self.network_,
            loss,
            len(inputs),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            betas=(0.9, 0.99),
        )


class BANANAS(MLP):
    """Ensemble of feed-forward networks over the path encoding: their mean is the estimate, their spread its standard deviation.

    The networks train side by side: three cost about 7 s at 121 architectures on one thread. For spaces whose possible
    paths are few; elsewhere choose another ``encoding``. The spread says where the networks disagree; it is not calibrated.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    members : int
        M, networks.
    encoding : str
        Name of an encoding, such as ``path`` or ``onehot``.
    layers, width, epochs, batch_size, learning_rate, penalty, device, random_state
        As for `MLP`.

    References
    ----------
    White et al., *BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search*, AAAI 2021. Defaults
    are those of its authors' later code, NASLib: three networks, each trained as `MLP`.
    """

    kind = "bananas"
    has_std = True

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        members: int = 3,
        encoding: str = "path",
        layers: int = 20,
        width: int = 20,
        epochs: int = 500,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        penalty: float = 0.2,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            space=space,
            encoding=encoding,
            layers=layers,
            width=width,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            penalty=penalty,
            device=device,
            random_state=random_state,
        )
        self.members = members

    @property
    def _members(self) -> int:
        return self.members

    def _check_options(self) -> None:
        super()._check_options()
        check_at_least("members", self.members, 1)
