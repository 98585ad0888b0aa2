"""NAO, which learns to embed, to estimate and to decode at once, and SemiNAS, which also learns from its own estimates.

Letters: B architectures, T tokens in a sequence, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.stats import loguniform
from torch import Tensor, nn
from torch.nn import functional as F

from emprox.encoders.recurrent import EncoderDecoder
from emprox.encoders.training import train
from emprox.encodings import SequenceEncoding
from emprox.errors import InvalidArchitectureError, InvalidOptionError
from emprox.estimators.neural import NeuralRegressor
from emprox.spaces import Architecture, ArchitectureFamily, get_space
from emprox.validation import check_at_least

__all__ = ["NAO", "SemiNAS"]

DOUBLINGS = 8
"""How often `NAO.improve` doubles its step before it gives up on an architecture."""


class EncoderPredictorDecoder(EncoderDecoder):
    """The encoder-decoder with a performance head on the embedding."""

    def __init__(self, vocabulary: int, hidden: int, head: int, dropout: float) -> None:
        super().__init__(vocabulary, hidden, dropout)
        self.narrow = nn.Linear(hidden, head)
        self.widen = nn.Linear(head, hidden)
        self.regressor = nn.Linear(hidden, 1)

    def value(self, embedding: Tensor) -> Tensor:
        """Return the estimate (B,) from embeddings (B, H)."""
        x = self._drop(self.narrow(embedding).relu())
        x = self._drop(self.widen(x).relu())
        return self.regressor((embedding + x) * 0.5**0.5)[:, 0]

    def predict(self, tokens: Tensor) -> Tensor:
        """Return the estimates of token rows (B, T), (1, B)."""
        return self.value(self.encode(tokens)[1])[None]

    def joint_loss(self, tokens: Tensor, targets: Tensor, weights: Tensor, trade_off: float) -> Tensor:
        """Return the squared error, and the negative log-likelihood per token, mixed by the trade-off."""
        memory, embedding = self.encode(tokens)
        error = (weights * (self.value(embedding) - targets) ** 2).mean()
        return trade_off * error + (1 - trade_off) * self.likelihood_loss(tokens, memory, embedding)

    def ascend(self, tokens: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Return encoder states (B, T, H) and embeddings (B, H) after one step along the gradient of the estimate."""
        states = self.encode(tokens)[0].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.value(F.normalize(states.mean(1), dim=-1)).sum(), states)
        moved = F.normalize(states.detach() + step * gradient, dim=-1)
        return moved, F.normalize(moved.mean(1), dim=-1)


class NAO(NeuralRegressor):
    """Encoder, performance head and decoder of token sequences, trained on one joint loss.

    Fitting costs about 5 s at 121 NAS-Bench-201 cells on one thread. Besides estimating, it improves architectures: a step
    along the gradient of the estimate in embedding space, decoded (`improve`).

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    hidden_size, head_size : int
        H, also the dimension of the embedding, and the width of the head's inner layer.
    epochs, batch_size : int
        Passes over the architectures and architectures in a step.
    learning_rate, weight_decay : float
        Of Adam.
    dropout : float
        Share of token-embedding and head entries dropped in training.
    gradient_clip : float
        Largest norm of a step's gradient.
    trade_off : float
        Share of the squared error in the loss; the rest is the reconstruction's negative log-likelihood per token.
    device : str
        Where torch computes.
    random_state : int or None
        Seed; torch's global generator is left as it was.

    References
    ----------
    Luo et al., *Neural Architecture Optimization*, NeurIPS 2018. Defaults are those of Luo et al., *Semi-Supervised Neural
    Architecture Search*, NeurIPS 2020, with the 50 epochs of NASLib (White et al., NeurIPS 2021).

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.spaces import get_space
    >>> known = get_space("nasbench201").sample(np.random.default_rng(0), 20)
    >>> estimator = NAO(epochs=1, random_state=0).fit(known, [90 - a.spec.count(1) for a in known])
    >>> estimator.predict(known).shape
    (20,)
    """

    kind = "nao"
    tunable: ClassVar = {
        "hidden_size": [16, 32, 64, 128],
        "batch_size": [32, 64, 128, 256],
        "learning_rate": loguniform(1e-5, 0.1),
    }

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        hidden_size: int = 64,
        head_size: int = 16,
        epochs: int = 50,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        dropout: float = 0.1,
        gradient_clip: float = 5.0,
        trade_off: float = 0.8,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.hidden_size = hidden_size
        self.head_size = head_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.gradient_clip = gradient_clip
        self.trade_off = trade_off
        self.device = device
        self.random_state = random_state

    def improve(self, architectures: Iterable[Any], step: float = 1.0) -> list[Architecture]:
        """Move architectures along the gradient of the estimate in embedding space and decode where they arrive.

        Parameters
        ----------
        architectures : iterable
            Where to start, such as the best known ones.
        step : float
            Length of the first step in units of the gradient; it doubles, at most `DOUBLINGS` times, until the decoder
            gives something new and better.

        Returns
        -------
        list of Architecture
            At most one for each start: distinct, of this space, neither known nor a start, and with an estimate above that of
            its start. Few come back where the decoder is poor; it then needs more epochs or architectures.

        Raises
        ------
        InvalidOptionError
            If the step is not positive.
        """
        check_at_least("step", step, 0, float)
        if step == 0:
            raise InvalidOptionError("step must be positive, got 0")
        starts = self._read(architectures)
        found: dict[int, Architecture] = {}
        for doubling in range(DOUBLINGS + 1):
            waiting = [i for i in range(len(starts)) if i not in found]
            taken = {*self.architectures_, *starts, *found.values()}
            for i, better in self._better([starts[i] for i in waiting], step * 2**doubling, taken):
                found[waiting[i]] = better
        return [found[i] for i in sorted(found)]

    def _better(self, starts: list[Architecture], step: float, taken: set[Architecture]) -> list[tuple[int, Architecture]]:
        """Return positions of starts and what one step makes of them, if that is valid, not taken, and of a higher estimate."""
        if not starts:
            return []
        encoding, tokens = SequenceEncoding(self.space_), self._inputs(starts)
        memory, embedding = self.network_.ascend(tokens, step)
        allowed = torch.from_numpy(encoding.allowed).to(self.device)
        decoded = self.network_.generate(memory, embedding, allowed).cpu().numpy()
        moved: dict[Architecture, int] = {}
        for position, row in enumerate(decoded):
            try:
                (candidate,) = encoding.inverse_transform(row[None])
            except InvalidArchitectureError:  # tokens that are possible one by one and not together
                continue
            if candidate not in taken:
                moved.setdefault(candidate, position)
        if not moved:
            return []
        before = self._outputs(starts)[0][list(moved.values())]
        after = self._outputs(list(moved))[0]
        return [(position, arch) for (arch, position), rise in zip(moved.items(), after - before, strict=True) if rise > 0]

    def _check_options(self) -> None:
        for name in ("hidden_size", "head_size", "epochs", "batch_size"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "weight_decay", "dropout", "gradient_clip", "trade_off"):
            check_at_least(name, getattr(self, name), 0, float)
        if self.dropout >= 1 or self.trade_off > 1:
            raise InvalidOptionError(
                f"dropout must be below 1 and trade_off at most 1, got {self.dropout!r} and {self.trade_off!r}"
            )

    def _inputs(self, architectures: list[Architecture]) -> Tensor:
        return torch.from_numpy(SequenceEncoding(self.space_).transform(architectures)).long().to(self.device)

    def _build(self) -> nn.Module:
        vocabulary = len(SequenceEncoding(self.space_).vocabulary)
        return EncoderPredictorDecoder(vocabulary, self.hidden_size, self.head_size, self.dropout)

    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> list[float]:
        def loss(batch: Tensor) -> Tensor:
            return self.network_.joint_loss(inputs[batch], targets[batch], weights[batch], self.trade_off)

        return train(
            self.network_,
            loss,
            len(inputs),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
        )


class SemiNAS(NAO):
    """NAO trained a second time, on its own estimates of unlabelled architectures beside the measured ones.

    Fitting costs about 50 s at 121 NAS-Bench-201 cells on one thread, most of it the second training.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space, or other family; None takes it from the architectures.
    unlabelled : int or None
        Random architectures of the space that get a pseudo-label; None takes as many as are measured.
    repeats : int
        How often each measured architecture counts in an epoch of the second training; a pseudo-labelled one counts once.
    hidden_size, head_size, epochs, batch_size, learning_rate, weight_decay, dropout, gradient_clip, trade_off, device
        As for `NAO`; the epochs are those of each training.
    random_state : int or None
        Seed; torch's global generator is left as it was.

    References
    ----------
    Luo et al., *Semi-Supervised Neural Architecture Search*, NeurIPS 2020. Defaults of ``unlabelled``, ``repeats`` and
    ``epochs`` are those of NASLib (White et al., NeurIPS 2021); the paper took 1,100 measured and 10,000 unlabelled
    architectures and 1,000 epochs.
    """

    kind = "seminas"

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        unlabelled: int | None = None,
        repeats: int = 10,
        hidden_size: int = 64,
        head_size: int = 16,
        epochs: int = 50,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        dropout: float = 0.1,
        gradient_clip: float = 5.0,
        trade_off: float = 0.8,
        device: str = "cpu",
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            space=space,
            hidden_size=hidden_size,
            head_size=head_size,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            dropout=dropout,
            gradient_clip=gradient_clip,
            trade_off=trade_off,
            device=device,
            random_state=random_state,
        )
        self.unlabelled = unlabelled
        self.repeats = repeats

    def _check_options(self) -> None:
        super()._check_options()
        check_at_least("repeats", self.repeats, 1)
        if self.unlabelled is not None:
            check_at_least("unlabelled", self.unlabelled, 1)

    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> list[float]:
        first = super()._train(inputs, targets, weights)
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        drawn = get_space(self.space_).sample(rng, self.unlabelled or len(inputs))
        guesses = torch.from_numpy(self._outputs(drawn)[0]).float().to(self.device)
        inputs = torch.cat([inputs.repeat(self.repeats, 1), self._inputs(drawn)])
        targets = torch.cat([targets.repeat(self.repeats), guesses])
        weights = torch.cat([weights.repeat(self.repeats), torch.ones_like(guesses)])
        return first + super()._train(inputs, targets, weights)
