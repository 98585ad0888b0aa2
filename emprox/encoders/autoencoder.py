"""The embedding of EmProx: architectures as token sequences, reconstructed from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from emprox.encoders.base import Encoder
from emprox.encoders.recurrent import EncoderDecoder
from emprox.encoders.training import read_weights, seeded, train, write_weights
from emprox.encodings import SequenceEncoding
from emprox.errors import InvalidOptionError
from emprox.spaces import Architecture, ArchitectureFamily, SearchSpace, as_architectures, get_space, infer_space
from emprox.validation import check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["SequenceAutoencoder"]

WEIGHTS = "encoder.safetensors"
CHUNK = 2048
"""Architectures encoded at a time; bounds memory."""


class SequenceAutoencoder(Encoder):
    """Embedding of architectures by reconstruction of their token sequence; labels are not used.

    The published EmProx embedding. Training costs about 15 ms a batch of 100 on one CPU thread at the default size; encoding
    costs tens of microseconds an architecture.

    Parameters
    ----------
    space : str, SearchSpace or None
        The search space; None takes it from the architectures given to `fit`.
    hidden_size : int
        H, also the dimension of the embedding.
    epochs, batch_size : int
        Passes over the architectures and architectures in a step.
    learning_rate, weight_decay : float
        Of Adam.
    dropout : float
        Share of token-embedding entries dropped in training.
    gradient_clip : float
        Largest norm of a step's gradient.
    device : str
        Where torch computes.
    random_state : int or None
        Seed; torch's global generator is left as it was.
    progress : callable or None
        Called after each epoch with the epoch's number (from 1) and its mean loss.

    Attributes
    ----------
    losses_ : list of float
        Mean loss of each epoch, nats per token.

    References
    ----------
    Luo et al., *Neural Architecture Optimization*, NeurIPS 2018.
    Franken, Singh, Vanschoren, *Faster Performance Estimation for NAS with Embedding Proximity Score*, 2022, arXiv 2206.05972.

    Examples
    --------
    >>> import numpy as np
    >>> from emprox.spaces import get_space
    >>> archs = get_space("nasbench201").sample(np.random.default_rng(0), 20)
    >>> SequenceAutoencoder(epochs=1, random_state=0).fit(archs).transform(archs).shape
    (20, 32)
    """

    kind = "autoencoder"

    def __init__(
        self,
        space: str | ArchitectureFamily | None = None,
        *,
        hidden_size: int = 32,
        epochs: int = 50,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        dropout: float = 0.1,
        gradient_clip: float = 5.0,
        device: str = "cpu",
        random_state: int | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self.space = space
        self.hidden_size = hidden_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.gradient_clip = gradient_clip
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, architectures: Iterable[Any], y: object = None, y_var: object = None) -> Self:
        """Train on labelled architectures alone, as published, or on any number of unlabelled ones.

        Parameters
        ----------
        architectures : iterable
            Architectures or their descriptions.
        y, y_var : object
            Ignored.
        """
        self._check_options()
        architectures = list(architectures)
        space = get_space(infer_space(architectures, self.space))
        tokens = SequenceEncoding(space).transform(as_architectures(architectures, space))
        with seeded(self.random_state, self.device):
            self._build(space)
            self._train(torch.from_numpy(tokens).long())
        return self

    def transform(self, architectures: Iterable[Any]) -> NDArray[np.float32]:
        """Return unit-length embeddings, float32 ndarray of shape (n_archs, hidden_size)."""
        tokens = self._tokens(architectures)
        with torch.inference_mode():
            chunks = [self.network_.encode(chunk.to(self.device))[1].cpu().numpy() for chunk in tokens.split(CHUNK)]
        return np.concatenate(chunks).astype(np.float32, copy=False)

    def reconstruct(self, architectures: Iterable[Any]) -> NDArray[np.int64]:
        """Encode and greedily decode; return the token rows, ndarray of shape (n_archs, T)."""
        tokens = self._tokens(architectures)
        return np.concatenate([self.network_.reconstruct(chunk.to(self.device)).cpu().numpy() for chunk in tokens.split(CHUNK)])

    def reconstruction_accuracy(self, architectures: Iterable[Any]) -> dict[str, float]:
        """Return the share of ``token``s and of whole ``sequence``s that greedy decoding reproduces."""
        architectures = list(architectures)
        same = self.reconstruct(architectures) == self._tokens(architectures).numpy()
        return {"token": float(same.mean()), "sequence": float(same.all(axis=1).mean())}

    @property
    def dim(self) -> int:
        """Number of dimensions of an embedding."""
        return self.hidden_size

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the weights as safetensors into a folder; return options for the manifest (not ``progress``)."""
        check_is_fitted(self)
        write_weights(self.network_, folder / WEIGHTS)
        options = self.get_params(deep=False) | {"space": self.space_.name, "progress": None}
        return {"options": options, "losses": self.losses_}

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Self:
        """Return the encoder that `write` wrote."""
        encoder = cls(**state["options"])
        encoder._build(get_space(state["options"]["space"]))
        read_weights(encoder.network_, folder / WEIGHTS)
        encoder.losses_ = list(state["losses"])
        return encoder

    def _check_options(self) -> None:
        for name in ("hidden_size", "epochs", "batch_size"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "weight_decay", "dropout", "gradient_clip"):
            check_at_least(name, getattr(self, name), 0, float)
        if self.dropout >= 1:
            raise InvalidOptionError(f"dropout must be below 1, got {self.dropout!r}")

    def _build(self, space: SearchSpace) -> None:
        self.space_ = space
        self.encoding_ = SequenceEncoding(space)
        network = EncoderDecoder(len(self.encoding_.vocabulary), self.hidden_size, self.dropout)
        self.network_ = network.to(self.device)

    def _train(self, tokens: Tensor) -> None:
        self.losses_: list[float] = train(
            self.network_,
            lambda batch: self.network_.loss(tokens[batch].to(self.device)),
            len(tokens),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            gradient_clip=self.gradient_clip,
            weight_decay=self.weight_decay,
            progress=self.progress,
        )

    def _tokens(self, architectures: Iterable[Any]) -> Tensor:
        check_is_fitted(self, "network_")
        return torch.from_numpy(self.encoding_.transform(self._architectures(architectures))).long()

    def _architectures(self, architectures: Iterable[Any]) -> list[Architecture]:
        return as_architectures(architectures, self.space_)
