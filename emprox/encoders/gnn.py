"""An embedding of networks of any family by a graph neural network that needs no labels.

Letters: n architectures, B graphs in a batch, T targets, D dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from emprox.encoders.augmentations import respelled
from emprox.encoders.base import Encoder
from emprox.encoders.checkpoints import Checkpoint, fingerprint
from emprox.encoders.contrastive import contrastive_loss, positives, spectrum
from emprox.encoders.graph_network import GraphDecoder, GraphNetwork, as_data, batches, bounded, collated
from emprox.encoders.training import read_weights, seeded, train, write_weights
from emprox.encodings.graph_arrays import GraphArrays
from emprox.encodings.graphs import network_features
from emprox.errors import InvalidOptionError
from emprox.registry import nearest
from emprox.spaces import Architecture, as_architectures, get_family, infer_space
from emprox.spaces.graph import ComputationGraph
from emprox.validation import check_at_least

if TYPE_CHECKING:
    from typing import Self

__all__ = ["PUBLISHED", "TERMS", "GraphEncoder", "as_graph", "check_terms", "prepared"]

TERMS = ("contrastive", "spectral", "augmentations", "reconstruction", "targets")
"""What an encoder can be trained for."""
PUBLISHED = "contrastive+spectral"
"""The terms of Han, Mills et al. 2023."""
WEIGHTS = "encoder.safetensors"
GRADIENT_CLIP = 1.0
KEPT = 20_000
"""Graphs that are kept for the next training or query, about 10 kB each."""


class GraphEncoder(Encoder):
    """Embedding of the networks' computation graphs, trained without labels on one or several families.

    Any architecture that has a network view goes in, and families may be mixed, in training and afterwards. A step on 64 graphs
    of 100 nodes costs about .1 s on one thread, embedding 2 ms a graph, reading a graph included. Needs the extra ``gnn``.

    Parameters
    ----------
    terms : str
        What the encoder is trained for, joined by ``+``: ``contrastive`` (graphs of a family near those like them),
        ``spectral`` (like means near in spectrum; otherwise all of a family), ``augmentations`` (and near their own
        respelling), ``reconstruction`` (of hidden nodes and edges), ``targets`` (the columns of
        `emprox.encodings.graphs.network_features`, among them parameters, multiply-accumulates and depths, and those given to
        `fit`). `PUBLISHED` is what the paper does.
    hidden_size, layers, embedding_size : int
        Of the network; the last is D.
    epochs, batch_size : int
        Passes over the graphs and graphs in a step. With 0 epochs the network keeps its random weights.
    learning_rate : float
        Of Adam.
    checkpoint : str, Path or None
        File that the training is kept in after each epoch, and goes on from.
    random_state : int or None
        Seed; torch's global generator is left as it was.
    progress : callable or None
        Called after each epoch with the epoch's number (from 1) and its mean loss.

    Attributes
    ----------
    losses_ : list of float
        Mean loss of each epoch.

    References
    ----------
    Han, Mills et al., *A General-Purpose Transferable Predictor for Neural Architecture Search*, SDM 2023, arXiv 2302.10835.

    Examples
    --------
    >>> from emprox.spaces import get_space
    >>> mixed = [a for name in ("nasbench201", "darts") for a in get_space(name).sample(np.random.default_rng(0), 4)]
    >>> GraphEncoder(epochs=1, random_state=0).fit(mixed).transform(mixed).shape
    (8, 64)
    """

    kind = "gnn"

    def __init__(
        self,
        *,
        terms: str = "+".join(TERMS),
        hidden_size: int = 64,
        layers: int = 3,
        embedding_size: int = 64,
        epochs: int = 5,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        checkpoint: str | Path | None = None,
        random_state: int | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self.terms = terms
        self.hidden_size = hidden_size
        self.layers = layers
        self.embedding_size = embedding_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.progress = progress

    def fit(self, architectures: Iterable[Any], y: Any = None, y_var: Any = None) -> Self:
        """Train on architectures of any families.

        Parameters
        ----------
        architectures : iterable of length n
            Architectures, of one or several families, or descriptions of one.
        y : array-like of shape (n,) or (n, T), optional
            Numbers that the embedding shall tell, such as zero-cost proxies, NaN where they are missing; part of the term
            ``targets``.
        y_var : object
            Ignored.
        """
        self._check_options()
        given = list(architectures)
        self.space_ = infer_space(given, None)
        known = self._read(given)
        with seeded(self.random_state, "cpu"):
            self.network_ = GraphNetwork(self.hidden_size, self.layers, self.embedding_size)
            self.losses_: list[float] = []
            if self.epochs:
                self._train(known, y)
        self.network_.eval()
        return self

    def transform(self, architectures: Iterable[Any]) -> NDArray[np.float32]:
        """Return embeddings, float32 ndarray of shape (n_archs, D)."""
        check_is_fitted(self, "network_")
        graphs = [prepared(architecture) for architecture in self._read(architectures)]
        with torch.inference_mode():
            parts = [self.network_(batch).numpy() for batch in batches(graphs)]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    @property
    def dim(self) -> int:
        """Number of dimensions of an embedding."""
        return self.embedding_size

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the weights as safetensors into a folder; return options for the manifest."""
        check_is_fitted(self, "network_")
        write_weights(self.network_, folder / WEIGHTS)
        options = self.get_params(deep=False) | {"progress": None, "checkpoint": None}
        return {"options": options, "space": self.space_.setting, "losses": self.losses_}

    @classmethod
    def read(cls, folder: Path, state: dict[str, Any]) -> Self:
        """Return the encoder that `write` wrote."""
        encoder = cls(**state["options"])
        encoder.space_ = get_family(state["space"])
        encoder.network_ = GraphNetwork(encoder.hidden_size, encoder.layers, encoder.embedding_size)
        read_weights(encoder.network_, folder / WEIGHTS)
        encoder.losses_ = list(state["losses"])
        return encoder

    def _check_options(self) -> None:
        check_terms(self.terms)
        for name in ("hidden_size", "layers", "embedding_size", "batch_size"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("epochs", self.epochs, 0)
        check_at_least("learning_rate", self.learning_rate, 0, float)

    def _read(self, architectures: Iterable[Any]) -> list[Architecture]:
        """Return architectures as they are, and descriptions as those of the family of the first one seen."""
        return [a if isinstance(a, Architecture) else as_architectures([a], self.space_)[0] for a in architectures]

    def _train(self, architectures: list[Architecture], y: Any) -> None:
        """Train `network_` and a decoder, which is then forgotten."""
        terms = self.terms.split("+")
        pretraining = _Pretraining(self.network_, terms, architectures, y, self.hidden_size, self.embedding_size)
        options = {name: getattr(self, name) for name in ("epochs", "learning_rate")}
        options["batch_size"] = bounded(self.batch_size, pretraining.graphs)
        about = options | {"terms": terms, "learned_from": fingerprint(pretraining.graphs, y), "seed": self.random_state}
        self.losses_ = train(
            pretraining,
            pretraining.loss,
            len(architectures),
            **options,
            gradient_clip=GRADIENT_CLIP,
            progress=self.progress,
            checkpoint=None if self.checkpoint is None else Checkpoint(self.checkpoint, about),
        )


class _Pretraining(nn.Module):
    """The network, its decoder, and the data that their loss needs."""

    def __init__(
        self, network: GraphNetwork, terms: Sequence[str], architectures: Sequence[Architecture], y: Any, hidden: int, dim: int
    ) -> None:
        super().__init__()
        self.terms = frozenset(terms)
        self.graphs = [prepared(architecture) for architecture in architectures]
        families = sorted({architecture.space for architecture in architectures})
        self.families = torch.tensor([families.index(architecture.space) for architecture in architectures])
        self.others = [_respelled(a, i) for i, a in enumerate(architectures)] if "augmentations" in terms else self.graphs
        self.spectra = _spectra(architectures) if "contrastive" in terms else None
        self.cheap = _cheap_targets(architectures, y) if "targets" in terms else None
        self.network = network
        self.decoder = GraphDecoder(hidden, dim, 0 if self.cheap is None else self.cheap.shape[1])

    def loss(self, rows: Tensor) -> Tensor:
        """Return the sum of the terms for graphs given by number (B,)."""
        batch = collated([self.graphs[i] for i in rows])
        embeddings = self.network(batch)
        loss = embeddings.sum() * 0
        others = None
        if self.terms & {"augmentations", "reconstruction"}:
            other = collated([self.others[i] for i in rows])
            states, hidden = self._partly_hidden(other)
            if "reconstruction" in self.terms:
                loss = loss + self.decoder.reconstruction_loss(states, other, *hidden)
            if "augmentations" in self.terms:
                others = self.network.pool(states, other.batch, other.num_graphs)
        if self.spectra is not None:
            weights = positives(self.spectra[rows], self.families[rows], "spectral" in self.terms)
            loss = loss + contrastive_loss(embeddings, weights, others)
        if self.cheap is not None:
            loss = loss + self.decoder.target_loss(embeddings, self.cheap[rows])
        return loss

    def _partly_hidden(self, batch: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the states of all nodes when some nodes and edges are hidden, and which."""
        nodes, edges, kinds = self.decoder.hide(batch)
        attributes = batch.attributes.masked_fill(nodes[:, None], 0)
        return self.network.nodes(kinds, attributes, batch.edge_index[:, ~edges]), (nodes, edges)


def check_terms(terms: str) -> None:
    """Raise unless a text joins names of `TERMS` by ``+``, with a loss among them."""
    given = terms.split("+")
    for term in given:
        if term not in TERMS:
            raise InvalidOptionError(f"no term is called {term!r}; {nearest(term, list(TERMS))}")
    if {"spectral", "augmentations"} & set(given) and "contrastive" not in given:
        raise InvalidOptionError(f"spectral and augmentations say what is contrasted; add contrastive to terms={terms!r}")


def as_graph(architecture: Architecture) -> ComputationGraph:
    """Return the network view of an architecture of any family."""
    return get_family(architecture.space).to_graph(architecture, "network")


@lru_cache(maxsize=KEPT)
def prepared(architecture: Architecture) -> Any:
    """Return what the network reads of an architecture; kept, since trainings and queries ask for the same."""
    return as_data(GraphArrays.from_graph(as_graph(architecture)))


def _respelled(architecture: Architecture, seed: int) -> Any:
    return as_data(GraphArrays.from_graph(respelled(as_graph(architecture), np.random.default_rng(seed))))


@lru_cache(maxsize=KEPT)
def _described(architecture: Architecture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the spectrum and the features of an architecture's network."""
    graph = as_graph(architecture)
    return spectrum(GraphArrays.from_graph(graph)), network_features([graph])[0]


def _spectra(architectures: Sequence[Architecture]) -> Tensor:
    return torch.from_numpy(np.stack([_described(architecture)[0] for architecture in architectures]))


def _cheap_targets(architectures: Sequence[Architecture], y: Any) -> Tensor:
    """Return the standardised columns that the embedding shall tell, (n, T), NaN where one is missing."""
    columns = [np.stack([_described(architecture)[1] for architecture in architectures]).astype(np.float64)]
    if y is not None:
        columns.append(np.asarray(y, dtype=np.float64).reshape(len(architectures), -1))
    joined = np.concatenate(columns, axis=1)
    joined = joined[:, ~np.isnan(joined).all(axis=0)]
    spread = np.nanstd(joined, axis=0)
    return torch.from_numpy((joined - np.nanmean(joined, axis=0)) / np.where(spread > 0, spread, 1)).float()
