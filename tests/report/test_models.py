"""Reports on models: leave-one-out, map and candidates against plain computations."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from emprox import EmProx, EmproxError, load_table
from emprox.estimators import XGBoost, load
from emprox.estimators.base import Target
from emprox.estimators.kriging import Kriging
from emprox.report.candidates import find_candidates
from emprox.report.charts import Map
from emprox.report.models import left_out_estimates
from emprox.report.writing import build_report
from tests.report import samples

TABLE = load_table("bundled").population("classes")
Y = TABLE.targets["val_accuracy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def chart(folder: Path) -> Map:
    return next(chart for chart in build_report([folder]).charts if isinstance(chart, Map))


def test_left_out_kriging_is_kriging_without_it() -> None:
    model = EmProx().fit(TABLE.architectures[:30], Y[:30])
    weigher = model.weigher_
    process = weigher.process.processes[0]
    positions, estimates, lower, upper = weigher.leave_one_out(0.9)
    for i, (others, weights) in enumerate(weigher.left_out_weights()):
        rest = Kriging(process.kernel, process.embeddings[others], process.scores[others], process.noise[others])
        score = rest.predict(process.embeddings[i : i + 1])
        assert estimates[i, 0] == pytest.approx(weigher.warps[0].inverse(score)[0])
        assert weights @ process.scores[others] == pytest.approx(score[0])
        assert lower[i, 0] < estimates[i, 0] < upper[i, 0]
    assert list(positions) == list(range(30))


def test_left_out_beyond_exact_kriging() -> None:
    model = EmProx(exact_up_to=20).fit(TABLE.architectures[:300], Y[:300])
    positions, estimates, _, _ = model.weigher_.leave_one_out(0.9)
    weights = list(model.weigher_.left_out_weights())
    assert len(positions) == len(weights) > 10
    for i, position in enumerate(positions[:10]):
        others, weight = weights[i]
        assert position not in others
        score = weight @ model.warps_[0].forward(Y[others])
        assert estimates[i, 0] == pytest.approx(model.warps_[0].inverse(score), abs=1e-6)


def test_left_out_average_is_the_average_of_the_others() -> None:
    model = EmProx.paper(k=4, hidden_size=8, epochs=2, random_state=0).fit(TABLE.architectures[:30], Y[:30])
    positions, estimates, _, _ = model.weigher_.leave_one_out(0.9)
    assert list(positions) == list(range(30))
    for i, (others, weights) in list(enumerate(model.weigher_.left_out_weights()))[:5]:
        rest = [j for j in range(30) if j != i]
        encoder = FrozenEstimator(model.encoder_)
        without = EmProx(encoder=encoder, weights="inverse", n_neighbors=4).fit([TABLE.architectures[j] for j in rest], Y[rest])
        assert without.predict([TABLE.architectures[i]])[0] == pytest.approx(estimates[i, 0], rel=1e-5)
        assert i not in others
        assert weights.sum() == pytest.approx(1)


def test_other_estimators_are_fitted_anew_without_a_tenth(tmp_path: Path) -> None:
    model = XGBoost(n_estimators=5, random_state=0).fit(TABLE.architectures[:30], Y[:30])
    positions, estimates = left_out_estimates(model)
    assert len(positions) == len(estimates.estimated) == 30
    assert estimates.interval is None
    assert np.abs(estimates.estimated - model.predict(TABLE.architectures[:30])).max() > 0.1
    model.save(tmp_path / "trees")
    report = build_report([tmp_path / "trees"])
    assert [chart.key for chart in report.charts] == ["trees-left-out"]
    assert "The model trees knows 30 measured architectures" in report.summary[0]


def test_map_shows_every_architecture_with_its_neighbours(chart: Map, folder: Path) -> None:
    model, details = load(folder), chart.details
    assert isinstance(model, EmProx)
    assert details["labels"][:40] == [str(a) for a in model.architectures_]
    assert len(details["labels"]) == len(details["graphs"]) == len(details["near"]) == len(details["x"]) == 50
    others, weights = list(model.weigher_.left_out_weights())[7]
    heaviest = others[np.argsort(-np.abs(weights), kind="stable")[:6]]
    assert [j for j, *_ in details["near"][7]] == heaviest.tolist()
    embedded = model.encoder_.transform([model.architectures_[7], model.architectures_[heaviest[0]]])
    assert details["near"][7][0][1] == pytest.approx(np.linalg.norm(embedded[0] - embedded[1]), rel=1e-3)
    nodes, edges = details["graphs"][7]
    graph = model.space_.to_graph(model.architectures_[7])
    assert [details["kinds"][k] for k in nodes] == list(graph.kinds)
    assert list(zip(edges[::2], edges[1::2], strict=True)) == list(graph.edges)
    assert len({(x, y) for x, y in zip(details["x"], details["y"], strict=True)}) > 40


def test_candidates_are_new_and_the_most_promising_first(folder: Path) -> None:
    model = load(folder)
    found = find_candidates(model, None, larger_is_better=True)
    assert found is not None
    assert not set(found.architectures) & set(model.architectures_)
    assert found.interval is not None
    assert found.interval[1][0] == found.interval[1].max()
    smaller = find_candidates(model, None, larger_is_better=False)
    assert smaller is not None
    assert smaller.interval is not None
    assert smaller.interval[0][0] == smaller.interval[0].min()


def test_candidates_that_are_given(folder: Path) -> None:
    model = load(folder)
    given = [str(a) for a in TABLE.architectures[60:70]]
    found = find_candidates(model, [*given, str(model.architectures_[0])], larger_is_better=True)
    assert found is not None
    assert set(found.labels) == set(given)
    alone = find_candidates(model, given[:1], larger_is_better=True)
    assert alone is not None
    assert "of all" not in alone.sentences[0]
    assert alone.sentences[1].startswith("90 % intervals of the candidates are from")
    assert find_candidates(model, [], larger_is_better=True) is None
    with pytest.raises(EmproxError):
        find_candidates(model, ["no cell"], larger_is_better=True)


def test_umap_lays_out_the_embedding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Umap:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def fit_transform(self, embedded: np.ndarray) -> np.ndarray:
            return embedded[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    chart = next(c for c in build_report([folder], projection="umap").charts if isinstance(c, Map))
    assert asked == {"n_neighbors": 15, "random_state": 0, "n_jobs": 1}
    assert chart.caption.startswith("UMAP of the 64 numbers")


def test_models_in_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [samples.model(tmp_path / name, known) for name, known in (("a", 20), ("b", 30))]
    report = build_report([*folders, folders[0]])
    assert [len(c.panels[0].series[0].x) for c in report.charts if c.title == "Estimated against measured"] == [20, 30]
    assert len({chart.key for chart in report.charts}) == len(report.charts) == 2 * len(build_report(folders[:1]).charts)
    titles = [section.title for section in report.sections]
    assert len(set(titles)) == len(titles)
    assert [str(folder) in title for folder, title in zip(folders, titles[::3], strict=True)] == [True, True]
    keys = [section.key for section in report.sections] + [item.key for s in report.sections for item in s.items]
    assert len(set(keys)) == len(keys)


def test_the_direction_and_the_axes_are_those_of_the_target(tmp_path: Path) -> None:
    model = XGBoost(n_estimators=5, random_state=0).fit(TABLE.architectures[:30], Y[:30])
    model.save(tmp_path / "plain")
    model.target_ = Target("latency_ms", "ms", larger_is_better=False)
    model.save(tmp_path / "trees")
    report = build_report([tmp_path / "trees"])
    text = " ".join(report.summary + tuple(sentence for s in report.sections for sentence in s.sentences))
    fastest = model.space_.label(TABLE.architectures[int(Y[:30].argmin())])
    assert f"The best that it knows is {fastest}" in text
    assert "A smaller value of latency_ms is taken as better." in text
    assert "the lowest estimate" in text
    assert report.charts[0].x.title == "measured latency_ms"
    asked = build_report([tmp_path / "trees"], larger_is_better=True)
    assert "A larger value of latency_ms is taken as better, as was asked." in asked.sections[0].sentences
    said = build_report([tmp_path / "plain"]).sections[0].sentences
    assert "Nothing says whether a larger value of its target is better; here it is taken to be." in said
    assert model.fit(TABLE.architectures[:30], Y[:30]).target_ is None


def test_a_model_that_knows_little_says_so(tmp_path: Path) -> None:
    report = build_report([samples.model(tmp_path, known=3)])
    assert "too few to say how well it estimates" in report.summary[0]
    assert report.charts == []
