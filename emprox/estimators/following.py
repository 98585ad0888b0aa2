"""Estimators that learn from a store, and follow what others add to it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator

from emprox.errors import InvalidOptionError
from emprox.estimators.base import ArchitectureRegressor, Floats, Target
from emprox.index import Store, StoredEmbedding
from emprox.tables import PerformanceTable

if TYPE_CHECKING:
    from typing import Self

__all__ = ["StoreFollower"]


EMBEDS = ("encoder", "features", "known")
"""Options that say how architectures are embedded."""


class StoreFollower(ArchitectureRegressor):
    """What `EmProx` has besides: `from_store` and `refresh`."""

    encoder: Any
    encoder_: Any
    counts_: NDArray[np.int64]

    @classmethod
    def from_store(
        cls, store: Store | str | Path, target: str | None = None, *, space: str | None = None, **options: Any
    ) -> Self:
        """Fit from the records of a store: the mean of each entry, and its spread where something was measured twice.

        If the store has an encoder for this space and target (`Store.reembed`) and the options choose no other, it is taken as it
        is, with the embeddings beside it, so that all processes that share the store share the embedding. Otherwise one is
        learned.

        Parameters
        ----------
        store : Store, str or Path
            The store, or its folder.
        target : str, optional
            What to estimate; may be left out if the space has one target only.
        space : str, optional
            May be left out if the store has one only.
        **options
            Those of the estimator.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from emprox.estimators import EmProx
        >>> from emprox.index import Store
        >>> from emprox.spaces import get_space
        >>> store = Store(tempfile.mkdtemp(), create=True)
        >>> for cell in get_space("nasbench201").sample(np.random.default_rng(0), 20):
        ...     _ = store.add(cell, {"val_accuracy": 90.0 - cell.spec.count(1)})
        >>> estimator = EmProx.from_store(store)
        >>> store.add(cell, {"val_accuracy": 88.0})
        21
        >>> estimator.refresh()
        1
        """
        estimator = cls(**options)
        estimator.store_ = store if isinstance(store, Store) else Store(store)
        estimator.followed_ = space, target
        estimator.shares_ = not estimator._chooses_encoder
        estimator._start()
        return estimator

    def refresh(self) -> int:
        """Learn what was added to the store since, and return how many measurements of the target that were.

        New architectures become neighbours and repeated ones get their new mean, without learning the embedding again
        (`refit` does). If another encoder has become that of the store, everything is fitted anew with it. Only what is in the
        store counts: architectures added by `partial_fit` alone are forgotten.

        Raises
        ------
        InvalidOptionError
            If the estimator was not made by `from_store`.
        """
        if not hasattr(self, "store_"):
            raise InvalidOptionError("only an estimator made by from_store can be refreshed; use partial_fit")
        before = self.counts_
        table, name = self._table_of_store()
        n = len(self.architectures_)
        is_longer = list(table.architectures[:n]) == self.architectures_
        if not is_longer or (self.shares_ and self.store_.version(name, table.space) != self.version_):
            self._start()
            return int(self.counts_.sum() - before.sum())
        y, spread, counts = table.targets[name], table.spreads.get(name), table.counts[name]
        known_spread = None if spread is None else spread[:n]
        if not (np.array_equal(y[:n], self.y_) and _equal(known_spread, self.y_std_)):
            self.y_, self.y_std_ = y[:n], known_spread
            self._weigh()
        if len(table) > n:
            self.partial_fit(table.architectures[n:], y[n:], None if spread is None else spread[n:])
        self.counts_ = counts
        return int(counts.sum() - before.sum())

    @property
    def _chooses_encoder(self) -> bool:
        """Whether the options say how to embed, so that the store's encoder is not asked for."""
        own = type(self)().get_params(deep=False)
        return any(own[name] != value for name, value in self.get_params(deep=False).items() if name in EMBEDS)

    def _start(self) -> None:
        """Fit from all that the store has."""
        table, name = self._table_of_store()
        self.stored_: StoredEmbedding | None = self.store_.embedding(name, table.space) if self.shares_ else None
        self.version_ = None if self.stored_ is None else self.stored_.version
        if self.shares_:
            self.encoder = None if self.stored_ is None else FrozenEstimator(self.stored_.encoder)
        self.fit(table.architectures, table.targets[name], table.spreads.get(name), target=Target.of(table, name))
        self.counts_ = table.counts[name]

    def _table_of_store(self) -> tuple[PerformanceTable, str]:
        space, target = self.followed_
        table = self.store_.table(target, space)
        return table, table.target()[0]

    def _embed_with(self, frozen: FrozenEstimator) -> NDArray[np.float32]:
        """Return the embeddings of the known architectures by a fitted encoder, from the store if it has them."""
        stored = getattr(self, "stored_", None)
        if stored is not None and stored.encoder is frozen.estimator:
            return stored.transform(self.architectures_)
        return frozen.transform(self.architectures_)

    @abstractmethod
    def _weigh(self) -> None:
        """Set what turns embeddings into estimates, from the known values as they are now."""


def _equal(a: Floats | None, b: Floats | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
