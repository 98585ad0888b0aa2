"""Several objectives and bounds: places, fronts, volumes, and searches that look for a front."""

import numpy as np
import pytest

from emprox import load_table
from emprox.errors import InvalidOptionError
from emprox.search import Bound, Goals, GuidedEvolution, LocalSearch, RandomSearch, RegularizedEvolution, TablePool
from emprox.search.goals import reference_point
from emprox.search.run import Budget, TableEvaluator, run_search

GOALS = Goals.of("val_accuracy", "-macs_millions")


def points(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [dict(zip(("val_accuracy", "macs_millions"), pair, strict=True)) for pair in pairs]


def test_fronts_places_and_volume() -> None:
    values = points((90, 100), (80, 50), (85, 120), (70, 60), (95, 200))
    assert GOALS.front(values).tolist() == [0, 1, 4]
    assert set(GOALS.places(values)[[0, 1, 4]]) == {0, 1, 2}
    volume = GOALS.hypervolume(values, np.array([60.0, -250.0]))
    assert volume == pytest.approx(20 * 200 + 10 * 150 + 5 * 50)
    assert GOALS.hypervolume(points((50, 300)), np.array([60.0, -250.0])) == 0


def test_bounds_come_first() -> None:
    goals = Goals.of("val_accuracy", bounds=["macs_millions<=100"])
    values = points((90, 150), (80, 90), (95, 120), (70, 100))
    assert goals.places(values).tolist() == [3, 0, 2, 1]
    assert goals.front(values).tolist() == [1]
    both = Goals.of("val_accuracy", "-macs_millions", bounds=["macs_millions<=100"])
    assert both.front(values).tolist() == [1]
    assert Goals.of("val_accuracy", bounds=["macs_millions<=1"]).front(values).tolist() == []


def test_places_of_one_objective_and_ties() -> None:
    assert Goals.of("-loss").places([{"loss": 2.0}, {"loss": 1.0}, {"loss": 2.0}]).tolist() == [1, 0, 2]


@pytest.mark.parametrize("text", ["macs", "macs<3", "macs<=x", "<=3", "macs<=nan", "macs<=1<=2"])
def test_wrong_bounds(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="expected a bound"):
        Bound.parse(text)


def test_wrong_objectives() -> None:
    for names in ((), ("a", "-a")):
        with pytest.raises(InvalidOptionError, match="objective"):
            Goals.of(*names)


def test_a_bound_reads_back() -> None:
    for bound in (Bound("latency_ms", 2.5), Bound("val_accuracy", 90.0, is_upper=False)):
        assert Bound.parse(str(bound)) == bound
        assert bound.holds(np.array([bound.limit])).all()


@pytest.fixture(scope="module")
def pool() -> TablePool:
    return TablePool(load_table("bundled"))


def test_guided_search_finds_more_of_the_front_than_random_search(pool: TablePool) -> None:
    known = pool.known("macs_millions", pool.table.architectures)
    everything = points(*zip(pool.table.targets["val_accuracy"].tolist(), known.tolist(), strict=True))
    reference = reference_point(GOALS.signed(everything))
    volumes = {}
    for kind in (GuidedEvolution, RandomSearch):
        volumes[kind] = []
        for seed in (100, 101):
            search = kind(pool, goals=GOALS, random_state=seed)
            run_search(search, TableEvaluator(pool, 3), Budget(evaluations=31))
            volumes[kind].append(GOALS.hypervolume([trial.values for trial in search.history.valid], reference))
    assert min(volumes[GuidedEvolution]) > max(volumes[RandomSearch])


@pytest.mark.parametrize("kind", [LocalSearch, RegularizedEvolution])
def test_baselines_take_several_objectives(kind: type, pool: TablePool) -> None:
    search = kind(pool, goals=GOALS)
    run_search(search, TableEvaluator(pool), Budget(evaluations=30))
    front = search.front
    assert front
    for trial in front:
        others = [each.values for each in search.history if each is not trial]
        worse = [o for o in others if o["val_accuracy"] > trial.values["val_accuracy"]]
        assert all(o["macs_millions"] > trial.values["macs_millions"] for o in worse)


def test_a_measured_bound_is_learned() -> None:
    """Latency is told by the evaluation only; the search keeps to it after a while."""
    goals = Goals.of("val_accuracy", bounds=["latency_ms<=4"])
    search = GuidedEvolution("nasbench201", estimator="emprox", goals=goals, n_initial=15, n_candidates=80)
    for _ in range(30):
        (proposal,) = search.ask()
        spec = proposal.architecture.spec
        search.tell(proposal, {"val_accuracy": 80.0 + 2 * spec.count(2), "latency_ms": 1.0 + 1.5 * spec.count(2)})
    late = [trial.values["latency_ms"] for trial in search.history[18:]]
    assert np.mean(np.array(late) <= 4) > 0.6
    assert search.best.values["latency_ms"] <= 4
    assert set(search.history[-1].belief) == {"val_accuracy", "latency_ms"}
