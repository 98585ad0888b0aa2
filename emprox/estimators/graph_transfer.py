"""A predictor that transfers between families: a graph neural network trained on other tables, fine-tuned on a few labels.

Letters: n architectures, D dimensions of an embedding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from emprox.encoders.checkpoints import Checkpoint, fingerprint
from emprox.encoders.gnn import PUBLISHED, GraphEncoder, check_terms, prepared
from emprox.encoders.graph_network import GraphNetwork, batches, bounded, collated
from emprox.encoders.training import read_weights, seeded, train, write_weights
from emprox.errors import InvalidOptionError
from emprox.estimators.base import ArchitectureRegressor, Floats
from emprox.estimators.warp import Warp
from emprox.proxies import KnownProxies
from emprox.registry import nearest
from emprox.spaces import Architecture, ArchitectureFamily, get_family
from emprox.tables import PerformanceTable
from emprox.tables.sources import Source, labelled, source_tables
from emprox.validation import check_at_least, standard_deviation

__all__ = ["GraphTransfer", "Predictor", "Pretrained"]

PRETRAINING = ("contrastive", "labels", "random")
BASE, TUNED = "pretrained.safetensors", "network-{}.safetensors"
HEAD_SIZE = 64
HEAD_EPOCHS = 60
HEAD_BATCH = 128
TRAINING_BATCH = 64
TUNING_BATCH = 32
TUNINGS = 2
"""Fine-tunings, which see the labels in different orders; estimates are their mean."""
PROXIES = ("epe_nas", "fisher", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "plain", "snip", "synflow", "zen")
"""Columns of tables that the term ``targets`` looks for."""
UNTOLD = np.full(len(PROXIES), np.nan)
"""Of an architecture whose proxies are not known."""
GRADIENT_CLIP = 1.0
WEIGHT_DECAY = 1e-4


class Predictor(nn.Module):
    """A graph network and a head that tells scores, standardised performances, from its embedding.

    Parameters
    ----------
    encoder : GraphNetwork
    dim : int
        D of the encoder.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, encoder: GraphNetwork, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.head = nn.Sequential(nn.Linear(dim, HEAD_SIZE), nn.ReLU(), nn.Linear(HEAD_SIZE, 1))

    def standardise(self, embeddings: Tensor) -> None:
        """Let the head see embeddings relative to these (n, D)."""
        self.mean = embeddings.mean(dim=0)
        self.scale = embeddings.std(dim=0, correction=0).clamp_min(1e-6)

    def score(self, embeddings: Tensor) -> Tensor:
        """Return scores (n,) of embeddings (n, D)."""
        return self.head((embeddings - self.mean) / self.scale)[:, 0]

    def forward(self, batch: Any) -> Tensor:
        """Return the scores of a batch of graphs, (B,)."""
        return self.score(self.encoder(batch))


Pretrained: TypeAlias = "Predictor | str | Path | None"
"""A trained predictor, a folder that `GraphTransfer.save` wrote, or None to train one."""


class GraphTransfer(ArchitectureRegressor):
    """A graph neural network that learns from the labels of other families and is fine-tuned on those of this one.

    What does not depend on the labels given to `fit` is the pretraining; ``fit([], [])`` with a ``space`` does just that, and
    ranks. Its result is `pretrained_`, which goes into the option ``pretrained`` of other fits. Pretraining takes a minute or
    two, fine-tuning seconds, a query 2 ms. Needs the extra ``gnn``.

    Parameters
    ----------
    space : str, ArchitectureFamily or None
        The search space, or other family; None takes it from the architectures.
    source : sequence of str or PerformanceTable
        Tables of other families whose labels are used; `emprox bench --source` hands them over. None leaves only the labels
        of the target.
    pretraining : {"labels", "contrastive", "random"}
        Whether the network is trained on the source's labels; or without labels on architectures of all families, the
        target's included, and then a head on the source's labels; or keeps its random weights, and only heads are
        trained, the control that shows what training is worth.
    terms : str
        With ``contrastive``, what the encoder is trained for (`emprox.encoders.gnn.GraphEncoder`). ``targets`` include the
        zero-cost proxies that the source's tables have.
    graphs : int
        Most architectures of each family, and most labelled ones of each table, that pretraining sees.
    epochs : int
        Passes over them.
    tuning_steps : int
        Steps of each fine-tuning.
    learning_rate, tuning_rate : float
        Of Adam in pretraining and fine-tuning.
    hidden_size, layers : int
        Of the network.
    pretrained : Predictor, path or None
        Skips pretraining.
    checkpoint : path or None
        File that pretraining is kept in after each epoch and goes on from.
    random_state : int or None
        Seed.

    Attributes
    ----------
    pretrained_ : Predictor
        Before fine-tuning.
    networks_ : list of Predictor
        After it, once for each of `TUNINGS`; `pretrained_` alone without labels.
    losses_ : list of float
        Mean loss of each epoch of pretraining; [] where it was skipped.

    References
    ----------
    Han, Mills et al., *A General-Purpose Transferable Predictor for Neural Architecture Search*, SDM 2023, arXiv 2302.10835.

    Examples
    --------
    >>> from emprox.tables import load_table
    >>> bundled = load_table("bundled")
    >>> predictor = GraphTransfer(space="darts", source=[bundled], graphs=20, epochs=1, random_state=0).fit([], [])
    >>> predictor.predict(get_family("darts").references(3)).shape
    (3,)
    """

    kind = "gnn"

    def __init__(
        self,
        *,
        space: str | ArchitectureFamily | None = None,
        source: Source = None,
        pretraining: str = "labels",
        terms: str = PUBLISHED,
        graphs: int = 300,
        epochs: int = 20,
        tuning_steps: int = 100,
        learning_rate: float = 1e-3,
        tuning_rate: float = 1e-3,
        hidden_size: int = 64,
        layers: int = 3,
        pretrained: Pretrained = None,
        checkpoint: str | Path | None = None,
        random_state: int | None = None,
    ) -> None:
        self.space = space
        self.source = source
        self.pretraining = pretraining
        self.terms = terms
        self.graphs = graphs
        self.epochs = epochs
        self.tuning_steps = tuning_steps
        self.learning_rate = learning_rate
        self.tuning_rate = tuning_rate
        self.hidden_size = hidden_size
        self.layers = layers
        self.pretrained = pretrained
        self.checkpoint = checkpoint
        self.random_state = random_state

    @classmethod
    def contrastive(
        cls,
        *,
        space: str | ArchitectureFamily | None = None,
        source: Source = None,
        terms: str = PUBLISHED,
        graphs: int = 300,
        epochs: int = 20,
        pretrained: Pretrained = None,
        checkpoint: str | Path | None = None,
        random_state: int | None = None,
    ) -> GraphTransfer:
        """Return the published method: contrastive encoder, head on the source's labels, fine-tuning; `TERMS` adds to it."""
        options = {"terms": terms, "graphs": graphs, "epochs": epochs, "pretrained": pretrained, "checkpoint": checkpoint}
        return cls(space=space, source=source, pretraining="contrastive", random_state=random_state, **options)  # type: ignore[arg-type]

    @property
    def needs_labels(self) -> bool:
        """False: without labels it ranks."""
        return False

    def _check_options(self) -> None:
        if self.pretraining not in PRETRAINING:
            raise InvalidOptionError(
                f"pretraining is one of {', '.join(PRETRAINING)}; {nearest(str(self.pretraining), [*PRETRAINING])}"
            )
        check_terms(self.terms)
        for name in ("graphs", "epochs", "hidden_size", "layers"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("tuning_steps", self.tuning_steps, 0)
        for name in ("learning_rate", "tuning_rate"):
            check_at_least(name, getattr(self, name), 0, float)

    def _fit(self) -> None:
        self.losses_: list[float] = []
        self.transfers_ = self.source is not None or self.pretrained is not None
        with seeded(self.random_state, "cpu"):
            self.pretrained_ = self._pretrain() if self.pretrained is None else self._given(self.pretrained)
        self.networks_ = [self.pretrained_]
        self.warp_ = Warp.fit(self._direction * self.y_) if len(self.y_) else None
        if self.warp_ is not None and standard_deviation(self.y_) > 0:
            scores = torch.from_numpy(self.warp_.forward(self._direction * self.y_)).float()
            with seeded(self.random_state, "cpu"):
                self.networks_ = [self._tuned(scores) for _ in range(TUNINGS)]

    def _given(self, pretrained: Predictor | str | Path) -> Predictor:
        if isinstance(pretrained, Predictor):
            return pretrained
        return type(self).load(pretrained).pretrained_

    def _pretrain(self) -> Predictor:
        tables = source_tables(self.source, self.space_)
        graphs, scores = self._labelled(tables)
        if self.pretraining == "labels":
            predictor = Predictor(GraphNetwork(self.hidden_size, self.layers, HEAD_SIZE), HEAD_SIZE)
            if graphs:
                self.losses_ = self._train_whole(predictor, graphs, scores)
            return predictor.eval()
        encoder = GraphEncoder(
            terms=self.terms,
            hidden_size=self.hidden_size,
            layers=self.layers,
            embedding_size=HEAD_SIZE,
            epochs=self.epochs if self.pretraining == "contrastive" else 0,
            learning_rate=self.learning_rate,
            checkpoint=self.checkpoint,
            random_state=self.random_state,
        )
        families = [get_family(table.space) for table in tables]
        unlabelled = [a for pool in self._pools([*families, self.space_], tables) for a in pool]
        told = _proxies(tables, self.graphs) if "targets" in self.terms else {}
        unlabelled = list(dict.fromkeys([*unlabelled, *told]))
        encoder.fit(unlabelled, np.array([told.get(a, UNTOLD) for a in unlabelled]) if told else None)
        self.losses_ = encoder.losses_
        predictor = Predictor(encoder.network_, HEAD_SIZE)
        predictor.standardise(torch.from_numpy(encoder.transform(unlabelled)))
        if graphs:
            embeddings = _embedded(predictor, graphs)
            _train_head(predictor, embeddings, scores)
        return predictor.eval()

    def _labelled(self, tables: Sequence[PerformanceTable]) -> tuple[list[Any], Tensor]:
        """Return graphs of labelled architectures of all tables, and their scores within their table."""
        graphs: list[Any] = []
        scores: list[Floats] = [np.empty(0)]
        for number, table in enumerate(tables):
            architectures, values = labelled(table, self.graphs, number)
            graphs += [prepared(architecture) for architecture in architectures]
            scores.append(Warp.fit(values).forward(values))
        return graphs, torch.from_numpy(np.concatenate(scores)).float()

    def _pools(self, families: Sequence[ArchitectureFamily], tables: Sequence[PerformanceTable]) -> Iterator[list[Architecture]]:
        """Return unlabelled architectures of each family: drawn, or those of its tables, or those to be learned from."""
        for family in {family.name: family for family in families}.values():
            known = [a for table in tables if table.space == family.name for a in table.architectures]
            drawn = family.references(self.graphs) or known[: self.graphs] or self.architectures_
            yield [a for a in dict.fromkeys(drawn) if family.is_connected(a)]

    def _train_whole(self, predictor: Predictor, graphs: list[Any], scores: Tensor) -> list[float]:
        about = {"learned_from": fingerprint(graphs, scores), "epochs": self.epochs, "seed": self.random_state}
        about["learning_rate"] = self.learning_rate
        return train(
            predictor,
            lambda rows: torch.square(predictor(collated([graphs[i] for i in rows])) - scores[rows]).mean(),
            len(graphs),
            epochs=self.epochs,
            batch_size=bounded(TRAINING_BATCH, graphs),
            learning_rate=self.learning_rate,
            gradient_clip=GRADIENT_CLIP,
            weight_decay=WEIGHT_DECAY,
            checkpoint=None if self.checkpoint is None else Checkpoint(self.checkpoint, about),
        )

    def _tuned(self, scores: Tensor) -> Predictor:
        """Return the network tuned on scores (n,), weights averaged over half the passes (Izmailov et al., UAI 2018)."""
        graphs = [prepared(architecture) for architecture in self.architectures_]
        precision = self._precision()
        weights = torch.ones(len(graphs)) if precision is None else torch.from_numpy(precision / precision.mean()).float()
        network, frozen = deepcopy(self.pretrained_), self.pretraining == "random"  # a random encoder stays as it is
        embeddings = _embedded(network, graphs) if frozen else None

        def loss(rows: Tensor) -> Tensor:
            estimates = network(collated([graphs[i] for i in rows])) if embeddings is None else network.score(embeddings[rows])
            return (weights[rows] * torch.square(estimates - scores[rows])).mean()

        epochs = math.ceil(self.tuning_steps / math.ceil(len(graphs) / TUNING_BATCH))
        averaged = AveragedModel(network)
        train(
            network.head if frozen else network,
            loss,
            len(graphs),
            epochs=epochs,
            batch_size=bounded(TUNING_BATCH, graphs),
            learning_rate=self.tuning_rate,
            gradient_clip=GRADIENT_CLIP,
            weight_decay=WEIGHT_DECAY,
            progress=lambda epoch, _: averaged.update_parameters(network) if 2 * epoch > epochs else None,
        )
        network.load_state_dict(averaged.module.state_dict())
        return network.eval()

    def _predict(self, architectures: list[Architecture], return_std: bool) -> tuple[Floats, None]:
        if not architectures:
            return np.empty(0), None
        graphs = [prepared(architecture) for architecture in architectures]
        with torch.inference_mode():
            each = [torch.stack([network(batch) for network in self.networks_]).mean(dim=0) for batch in batches(graphs)]
        scores = torch.cat(each).numpy().astype(np.float64)
        if self.warp_ is None:
            return scores, None
        if not self.transfers_ and standard_deviation(self.y_) == 0:
            return np.full(len(scores), self.y_.mean()), None
        return self._direction * self.warp_.inverse(scores), None

    def _options(self) -> dict[str, Any]:
        """Return constructor options that JSON can hold; what came from the source is in the weights."""
        return super()._options() | {"source": None, "pretrained": None, "checkpoint": None}

    def _write(self, folder: Path) -> dict[str, Any]:
        check_is_fitted(self, "networks_")
        write_weights(self.pretrained_, folder / BASE)
        tuned = [network for network in self.networks_ if network is not self.pretrained_]
        for number, network in enumerate(tuned):
            write_weights(network, folder / TUNED.format(number))
        warp = None if self.warp_ is None else asdict(self.warp_)
        return {"warp": warp, "losses": self.losses_, "transfers": self.transfers_, "tuned": len(tuned)}

    def _read_state(self, folder: Path, state: dict[str, Any]) -> None:
        self.pretrained_ = self._read_network(folder / BASE)
        self.networks_ = [self._read_network(folder / TUNED.format(i)) for i in range(state["tuned"])] or [self.pretrained_]
        warp = state["warp"]
        self.warp_ = None if warp is None else Warp(tuple(warp["values"]), tuple(warp["scores"]), warp["slope"])
        self.losses_, self.transfers_ = list(state["losses"]), bool(state["transfers"])
        self.pretrained = self.pretrained_ if self.transfers_ else None

    def _read_network(self, file: Path) -> Predictor:
        network = Predictor(GraphNetwork(self.hidden_size, self.layers, HEAD_SIZE), HEAD_SIZE)
        read_weights(network, file)
        return network


def _proxies(tables: Sequence[PerformanceTable], most: int) -> dict[Architecture, Floats]:
    """Return the ranks within a table, between -1 and 1, of the proxies that it has of its labelled architectures, (P,)."""
    told: dict[Architecture, Floats] = {}
    for number, table in enumerate(tables):
        architectures, _ = labelled(table, most, number)
        known = KnownProxies.from_table(table)
        columns = np.full((len(architectures), len(PROXIES)), np.nan)
        for name in set(PROXIES) & set(known.names):
            ranks = rankdata(known.values(architectures, [name])[:, 0], nan_policy="omit")
            columns[:, PROXIES.index(name)] = 2 * ranks / len(architectures) - 1
        told |= dict(zip(architectures, columns, strict=True)) if not np.isnan(columns).all() else {}
    return told


def _embedded(predictor: Predictor, graphs: Sequence[Any]) -> Tensor:
    with torch.no_grad():
        return torch.cat([predictor.encoder(batch) for batch in batches(graphs)])


def _train_head(predictor: Predictor, embeddings: Tensor, scores: Tensor) -> None:
    """Train the head alone on embeddings (n, D) and scores (n,)."""
    train(
        predictor.head,
        lambda rows: torch.square(predictor.score(embeddings[rows]) - scores[rows]).mean(),
        len(scores),
        epochs=HEAD_EPOCHS,
        batch_size=HEAD_BATCH,
        learning_rate=1e-3,
        weight_decay=WEIGHT_DECAY,
    )
