"""The encoder-decoder of NAO and EmProx: architectures as token sequences, reconstructed from their embedding.

Letters: B architectures, T tokens in a sequence, V tokens in the vocabulary, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from emprox.encoders.base import Encoder
from emprox.encodings import SequenceEncoding
from emprox.errors import CorruptFileError, InvalidOptionError
from emprox.spaces import Architecture, SearchSpace, as_architectures, get_space, infer_space
from emprox.validation import check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["SequenceAutoencoder"]

START = 0
"""Token before the first; it also stands for absent nodes, which no sequence starts with."""
WEIGHTS = "encoder.safetensors"
CHUNK = 2048
"""Architectures encoded at a time; bounds memory."""


class Attention(nn.Module):
    """Each decoder state looks at all encoder states and mixes what it finds into itself."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.mix = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, states: Tensor, memory: Tensor) -> Tensor:
        scores = self.query(states) @ memory.transpose(1, 2)  # (B, T, T)
        found = scores.softmax(-1) @ memory  # (B, T, H)
        return torch.tanh(self.mix(torch.cat([found, states], dim=-1)))  # (B, T, H)


class EncoderDecoder(nn.Module):
    """Bidirectional LSTM encoder, unit-length mean state as embedding, LSTM decoder with attention."""

    def __init__(self, vocabulary: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.encoder_tokens = nn.Embedding(vocabulary, hidden)
        self.encoder = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden, hidden)
        self.decoder_tokens = nn.Embedding(vocabulary, hidden)
        self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.attention = Attention(hidden)
        self.out = nn.Linear(hidden, vocabulary)

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder states (B, T, H) and the embeddings (B, H), all of unit length."""
        x = self._drop(self.encoder_tokens(tokens))  # (B, T, H)
        states = F.normalize(x + self.project(self.encoder(x)[0]), dim=-1)  # (B, T, H)
        return states, F.normalize(states.mean(1), dim=-1)

    def decode(self, tokens: Tensor, memory: Tensor, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return logits (B, T, V) for the tokens that follow, and the LSTM's state after the last."""
        x = self._drop(self.decoder_tokens(tokens))
        states, carry = self.decoder(x, carry)
        states = (x + states) * 0.5**0.5
        states = (states + self.attention(states, memory)) * 0.5**0.5
        return self.out(states), carry

    def loss(self, tokens: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of the tokens (B, T), each given those before it."""
        memory, embedding = self.encode(tokens)
        before = F.pad(tokens[:, :-1], (1, 0), value=START)
        logits, _ = self.decode(before, memory, start_state(embedding))
        return F.cross_entropy(logits.transpose(1, 2), tokens)

    @torch.no_grad()
    def reconstruct(self, tokens: Tensor) -> Tensor:
        """Encode, then decode greedily: the likeliest token at each step, fed back, (B, T)."""
        memory, embedding = self.encode(tokens)
        carry, token, decoded = start_state(embedding), torch.full_like(tokens[:, :1], START), []
        for _ in range(tokens.shape[1]):
            logits, carry = self.decode(token, memory, carry)
            token = logits.argmax(-1)
            decoded.append(token)
        return torch.cat(decoded, dim=1)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def start_state(embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Start the decoder's hidden and cell state from the embedding (B, H), each (1, B, H)."""
    return embedding[None], embedding[None]


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
        space: str | SearchSpace | None = None,
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
        space = infer_space(architectures, self.space)
        tokens = SequenceEncoding(space).transform(as_architectures(architectures, space))
        with torch.random.fork_rng(devices=_cuda_devices(self.device)):
            if self.random_state is not None:
                torch.manual_seed(self.random_state)
            else:
                torch.seed()
            self._build(space)
            self._train(torch.from_numpy(tokens).long())
        self.network_.eval()
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
        save_file({name: tensor.contiguous() for name, tensor in self.network_.state_dict().items()}, folder / WEIGHTS)
        options = self.get_params(deep=False) | {"space": self.space_.name, "progress": None}
        return {"options": options, "losses": self.losses_}

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Self:
        """Return the encoder that `write` wrote."""
        encoder = cls(**state["options"])
        encoder._build(get_space(state["options"]["space"]))
        try:
            encoder.network_.load_state_dict(load_file(folder / WEIGHTS))
        except Exception as error:  # safetensors and torch raise several unrelated types
            raise CorruptFileError(f"{folder / WEIGHTS} does not hold the weights of this encoder: {error}") from error
        encoder.losses_ = list(state["losses"])
        encoder.network_.eval()
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
        optimizer = torch.optim.Adam(self.network_.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        self.losses_: list[float] = []
        self.network_.train()
        for epoch in range(1, self.epochs + 1):
            total = 0.0
            for batch in torch.randperm(len(tokens)).split(self.batch_size):
                optimizer.zero_grad()
                loss = self.network_.loss(tokens[batch].to(self.device))
                loss.backward()
                nn.utils.clip_grad_norm_(self.network_.parameters(), self.gradient_clip)
                optimizer.step()
                total += loss.item() * len(batch)
            self.losses_.append(total / len(tokens))
            if self.progress is not None:
                self.progress(epoch, self.losses_[-1])

    def _tokens(self, architectures: Iterable[Any]) -> Tensor:
        check_is_fitted(self, "network_")
        return torch.from_numpy(self.encoding_.transform(self._architectures(architectures))).long()

    def _architectures(self, architectures: Iterable[Any]) -> list[Architecture]:
        return as_architectures(architectures, self.space_)


def _cuda_devices(device: str) -> list[int]:
    """Devices besides the CPU whose generator a seeded training has to leave as it was."""
    chosen = torch.device(device)
    return [chosen.index or 0] if chosen.type == "cuda" else []
