from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.base import clone

from emprox import get_space, load_table
from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.estimators import ArchitectureRegressor, make_estimator
from emprox.estimators.graph_transfer import PROXIES, GraphTransfer
from emprox.tables import PerformanceTable
from emprox.tables.sources import labelled, source_tables
from emprox.testing import EstimatorContract

SMALL = {"graphs": 12, "epochs": 1, "tuning_steps": 4, "hidden_size": 8, "layers": 2, "random_state": 0}
DARTS = get_space("darts")


class TestGraphTransfer(EstimatorContract):
    def make(self) -> ArchitectureRegressor:
        return GraphTransfer(**SMALL)


def sized(space: str, n: int, seed: int, sign: int = 1) -> PerformanceTable:
    """Return cells of a space whose accuracy is the logarithm of their multiply-accumulates."""
    cells = get_space(space).sample(np.random.default_rng(seed), n)
    macs = np.log(get_space(space).costs(cells)[:, 1])
    return PerformanceTable(f"{space}-sizes", space, tuple(cells), {"val_loss" if sign < 0 else "val_accuracy": sign * macs})


@pytest.fixture(scope="module")
def source() -> list[PerformanceTable]:
    return [sized("transnas101-micro", 60, 0), sized("darts", 60, 1, sign=-1)]


@pytest.fixture(scope="module")
def pretrained(source: list[PerformanceTable]) -> GraphTransfer:
    options = {"graphs": 60, "epochs": 12, "learning_rate": 3e-3, "hidden_size": 16, "layers": 2, "random_state": 0}
    return GraphTransfer(space="nasbench201", source=source, **options).fit([], [])


@pytest.fixture(scope="module")
def target() -> PerformanceTable:
    return sized("nasbench201", 60, 2)


def test_what_other_families_taught_ranks_this_one_without_labels(pretrained: GraphTransfer, target: PerformanceTable) -> None:
    estimates = pretrained.predict(target.architectures)
    assert spearmanr(estimates, target.targets["val_accuracy"])[0] > 0.6
    assert pretrained.losses_[-1] < pretrained.losses_[0]


def test_fine_tuning_starts_from_the_pretrained_network(pretrained: GraphTransfer, target: PerformanceTable) -> None:
    options = {"space": "nasbench201", "hidden_size": 16, "layers": 2, "random_state": 0, "pretrained": pretrained.pretrained_}
    before = [tensor.clone() for tensor in pretrained.pretrained_.parameters()]
    test, train = target.split(20, 40, 0)
    known, y = target.rows(train).architectures, target.targets["val_accuracy"][train]
    asked = target.rows(test).architectures
    unchanged = GraphTransfer(**options, tuning_steps=0).fit(known, y)
    rank = spearmanr(unchanged.predict(asked), pretrained.predict(asked))[0]
    assert rank == pytest.approx(1)
    tuned = GraphTransfer(**options, tuning_steps=30).fit(known, y)
    assert np.abs(tuned.predict(asked) - target.targets["val_accuracy"][test]).mean() < 0.5 * np.std(y)
    assert tuned.losses_ == []
    for tensor, now in zip(before, pretrained.pretrained_.parameters(), strict=True):
        torch.testing.assert_close(now, tensor)


def test_estimates_are_the_mean_of_two_tunings(pretrained: GraphTransfer, target: PerformanceTable, tmp_path: Path) -> None:
    options = {"space": "nasbench201", "hidden_size": 16, "layers": 2, "random_state": 0, "pretrained": pretrained.pretrained_}
    model = GraphTransfer(**options, tuning_steps=8).fit(target.architectures[:40], np.arange(40.0))
    model.save(tmp_path / "model")
    assert model.warp_ is not None
    cells, networks = target.architectures[40:50], model.networks_
    alone = []
    for network in networks:
        model.networks_ = [network]
        alone.append(model.warp_.forward(model.predict(cells)))
    assert len(alone) == 2
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    mean = model.warp_.inverse(np.mean(alone, axis=0))
    np.testing.assert_allclose(GraphTransfer.load(tmp_path / "model").predict(cells), mean, rtol=1e-5)


def test_a_random_encoder_stays_random(source: list[PerformanceTable], target: PerformanceTable) -> None:
    model = GraphTransfer(space="nasbench201", source=source, pretraining="random", **SMALL)
    model.fit(target.architectures[:10], target.targets["val_accuracy"][:10])
    for part in ("encoder", "head"):
        pairs = zip(getattr(model.pretrained_, part).parameters(), getattr(model.networks_[0], part).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == (part == "encoder")


def test_the_published_method_sees_the_target_without_labels(source: list[PerformanceTable]) -> None:
    model = make_estimator("cl-paper:graphs=12,epochs=1", space="nasbench201", source=source, random_state=0)
    assert model.pretraining == "contrastive"
    assert model.terms == "contrastive+spectral"
    families = [get_space(table.space) for table in source]
    pools = list(model._pools([*families, get_space("nasbench201")], source))
    assert [pool[0].space for pool in pools] == ["transnas101-micro", "darts", "nasbench201"]
    assert len(model.fit([], []).losses_) == 1


def test_targets_include_the_proxies_that_a_source_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    from emprox.encoders.gnn import GraphEncoder

    told = []
    fit = GraphEncoder.fit
    monkeypatch.setattr(GraphEncoder, "fit", lambda self, graphs, y=None: told.append(y) or fit(self, graphs, y))
    table = replace(sized("transnas101-micro", 30, 0), columns={"jacov": np.append(np.nan, np.arange(29.0))})
    spec = "cl-paper:graphs=12,epochs=1,terms=contrastive+spectral"
    make_estimator(spec, space="darts", source=[table], random_state=0).fit([], [])
    make_estimator(f"{spec}+targets", space="darts", source=[table], random_state=0).fit([], [])
    assert told[0] is None
    jacov = told[1][:, PROXIES.index("jacov")]
    assert 11 <= np.isfinite(jacov).sum() <= 12
    assert np.nanmin(jacov) > -1
    assert np.nanmax(jacov) <= 1
    assert np.isnan(np.delete(told[1], PROXIES.index("jacov"), axis=1)).all()


def test_save_and_load_without_labels(tmp_path: Path, source: list[PerformanceTable]) -> None:
    model = GraphTransfer(space="nasbench201", source=source, **SMALL).fit([], [])
    model.save(tmp_path / "model")
    cells = get_space("nasbench201").sample(np.random.default_rng(3), 5)
    again = GraphTransfer.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(cells), model.predict(cells))
    y = [1.0, 2.0, 3.0, 4.0, 5.0]
    expected = clone(model).fit(cells, y).predict(cells)
    given = GraphTransfer(space="nasbench201", pretrained=tmp_path / "model", **SMALL).fit(cells, y)
    np.testing.assert_array_equal(given.predict(cells), expected)
    np.testing.assert_array_equal(again.fit(cells, y).predict(cells), expected)


def test_interrupted_pretraining_goes_on(tmp_path: Path, source: list[PerformanceTable]) -> None:
    file = tmp_path / "state"
    GraphTransfer(space="nasbench201", source=source, checkpoint=file, **SMALL).fit([], [])
    assert file.exists()
    with pytest.raises(InvalidOptionError, match="another training"):
        GraphTransfer(space="nasbench201", source=source, checkpoint=file, **SMALL | {"epochs": 2}).fit([], [])


def test_nothing_to_learn_from(source: list[PerformanceTable]) -> None:
    with pytest.raises(InvalidDataError, match="space="):
        GraphTransfer(source=source, **SMALL).fit([], [])
    with pytest.raises(InvalidOptionError, match="of darts, the family that is estimated"):
        GraphTransfer(space="darts", source=source, **SMALL).fit([], [])
    with pytest.raises(InvalidOptionError, match="contrastive, labels, random"):
        GraphTransfer(pretraining="labelled").fit(DARTS.references(3), [1, 2, 3])


def test_sources_by_name_and_their_direction() -> None:
    (table,) = source_tables("bundled", DARTS)
    assert table.name == "bundled"
    assert [t.name for t in source_tables(["bundled", table], DARTS)] == ["bundled", "bundled"]
    assert source_tables(None, DARTS) == []
    loss = sized("darts", 5, 0, sign=-1)
    architectures, values = labelled(loss, 3, 0)
    assert len(architectures) == 3
    macs = dict(zip(loss.architectures, -loss.targets["val_loss"], strict=True))
    np.testing.assert_array_equal(values, [macs[a] for a in architectures])
    space = get_space("nasbench201")
    dead, live = space.parse((1, 1, 1, 1, 1, 1)), space.parse((2, 2, 2, 2, 2, 2))
    assert labelled(PerformanceTable("t", "nasbench201", (dead, live), {"val_accuracy": [10.0, 90.0]}), 2, 0)[0] == [live]


def test_label_free_scores_rank_without_labels() -> None:
    cells = load_table("bundled").architectures[:30]
    free = make_estimator("size", space="nasbench201").fit([], [])
    scaled = make_estimator("size").fit(cells, load_table("bundled").targets["val_accuracy"][:30])
    assert spearmanr(free.predict(cells), scaled.predict(cells))[0] == pytest.approx(1)
