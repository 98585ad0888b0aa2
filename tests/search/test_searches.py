"""What every search keeps to: nothing twice, ask changes nothing, failures are avoided; and guided search is worth it."""

import copy
from typing import Any

import numpy as np
import pytest

from emprox import get_space, load_table
from emprox.errors import InvalidArchitectureError, InvalidDataError, InvalidOptionError
from emprox.search import (
    SEARCHES,
    Goals,
    GuidedEvolution,
    LocalSearch,
    RandomSearch,
    RegularizedEvolution,
    Search,
    SpacePool,
    TablePool,
)
from emprox.search.acquisitions import spread
from emprox.search.run import Budget, TableEvaluator, run_search
from emprox.spaces import SPACES, Architecture

QUICK: dict[str, dict[str, Any]] = {
    "evolution": {"population_size": 5, "sample_size": 2},
    "guided": {"estimator": "gp", "n_initial": 4, "n_candidates": 20},
    "local": {},
    "random": {},
}
every = pytest.mark.parametrize("name", sorted(QUICK))


@pytest.fixture(scope="module")
def bundled() -> TablePool:
    return TablePool(load_table("bundled"))


def make(name: str, space: Any = "nasbench201", **options: Any) -> Search:
    return SEARCHES.get(name)(space, **QUICK[name], **options)


def accuracy(architecture: Architecture) -> float:
    return 90.0 - sum(architecture.spec)


def go(search: Search, n: int, batch: int = 1) -> None:
    while len(search.history) < n and (proposals := search.ask(batch)):
        for proposal in proposals:
            search.tell(proposal, accuracy(proposal.architecture))


def test_every_search_is_tested() -> None:
    assert SEARCHES.names() == sorted(QUICK)
    assert all(SEARCHES.get(name).kind == name for name in QUICK)


@every
def test_no_function_is_asked_twice(name: str) -> None:
    search = make(name)
    go(search, 30, batch=3)
    keys = [trial.key for trial in search.history]
    assert len(set(keys)) == len(keys) == 30
    assert keys == [get_space("nasbench201").canonical_hash(trial.architecture) for trial in search.history]


@every
def test_ask_changes_only_the_generator(name: str) -> None:
    search = make(name)
    go(search, 12)
    other = copy.deepcopy(search)
    state = search.rng.bit_generator.state
    first = search.ask(3)
    assert list(search.history) == list(other.history)
    search.rng.bit_generator.state = state
    assert search.ask(3) == first == other.ask(3)


@every
def test_what_is_running_is_not_asked(name: str) -> None:
    search = make(name)
    go(search, 12)
    running = search.ask(4)
    again = search.ask(4, pending=running)
    keys = [search.pool.key(proposal.architecture) for proposal in (*running, *again)]
    assert len(set(keys)) == 8


@every
def test_a_table_is_asked_to_its_last_row(name: str, bundled: TablePool) -> None:
    small = TablePool(bundled.table.rows(range(23)))
    search = make(name, small)
    run_search(search, TableEvaluator(small, 4), Budget(evaluations=100))
    assert sorted(trial.key for trial in search.history) == sorted(small.keys)
    assert search.ask(2) == []


@every
def test_failures_are_remembered(name: str) -> None:
    search = make(name)
    failed = set()
    for number in range(20):
        (proposal,) = search.ask()
        if number % 3 == 0:
            failed.add(search.tell(proposal, error="diverged").key)
        else:
            search.tell(proposal, accuracy(proposal.architecture))
    assert search.best is not None
    assert len(failed) == 7 == sum(trial.error == "diverged" for trial in search.history)
    assert len({trial.key for trial in search.history}) == 20


@every
def test_all_that_fails_is_no_end(name: str) -> None:
    search = make(name)
    for _ in range(8):
        search.tell(search.ask()[0], error="no")
    assert search.best is None
    assert search.front == []
    assert search.ask()


@pytest.mark.parametrize("space", SPACES.names())
def test_guided_evolution_works_in_every_space(space: str) -> None:
    search = GuidedEvolution(space, estimator="ridge", n_initial=4, n_candidates=15)
    sizes = {}
    for _ in range(6):
        for proposal in search.ask(2):
            sizes[proposal.architecture] = get_space(space).count_parameters(proposal.architecture)
            search.tell(proposal, -float(np.log(sizes[proposal.architecture])))
    assert len({trial.key for trial in search.history}) == 12
    assert {trial.origin for trial in search.history} > {"sample"}


@pytest.mark.parametrize("acquisition", ["mean", "ucb", "ei", "thompson"])
def test_acquisitions_choose_better_than_chance(acquisition: str, bundled: TablePool) -> None:
    search = GuidedEvolution(bundled, acquisition=acquisition, n_candidates=60, random_state=100)
    run_search(search, TableEvaluator(bundled, 5), Budget(evaluations=30))
    values = [trial.values["val_accuracy"] for trial in search.history]
    assert np.mean(values[10:]) > np.mean(values[:10]) + np.std(values[:10]) / 2


def test_guided_evolution_beats_random_search(bundled: TablePool) -> None:
    best: dict[type[Search], list[float]] = {RandomSearch: [], GuidedEvolution: []}
    for kind, found in best.items():
        for seed in (100, 101, 102):
            search = kind(bundled, random_state=seed)
            run_search(search, TableEvaluator(bundled, 4), Budget(evaluations=30))
            found.append(search.best.values["val_accuracy"])
    guided, random = (np.array(best[kind]) for kind in (GuidedEvolution, RandomSearch))
    assert (guided >= random).all()
    assert (guided - random).mean() > 2


def test_a_batch_differs_where_it_should() -> None:
    scores, places = np.array([[1.0, 0.9, 0.8, 0.2]]), np.array([0.0, 0.1, 1.0, 1.0])
    distances, alone = np.abs(places[:, None] - places), np.ones(4)
    assert spread(scores, distances, 2, 0.0, alone) == [0, 1]
    assert spread(scores, distances, 2, 0.5, alone) == [0, 2]
    assert spread(scores, distances, 4, 0.5, alone) == [0, 2, 1, 3]
    near_pending = np.array([0.0, 0.1, 1.0, 1.0])
    assert spread(scores, distances, 1, 0.5, near_pending) == [2]
    assert spread(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones((2, 2)), 2, 0.0, np.ones(2)) == [0, 1]


def test_local_search_moves_to_the_optimum_and_starts_anew() -> None:
    search = LocalSearch("nasbench201", random_state=3)
    go(search, 200)
    values = [trial.values["val_accuracy"] for trial in search.history]
    assert max(values) == 90.0
    restarts = [trial.number for trial in search.history if trial.origin == "sample"]
    assert restarts[0] == 0
    assert len(restarts) > 1
    assert values[restarts[1]] < 90


def test_the_oldest_have_no_children() -> None:
    search = RegularizedEvolution("nasbench201", population_size=6, sample_size=6)
    best = get_space("nasbench201").parse((0, 0, 0, 0, 0, 0))
    search.tell(best, 100.0)
    for _ in range(5):
        search.tell(search.ask()[0], 50.0)
    near = {search.pool.key(each) for each in search.pool.neighbors(best)}
    assert search.pool.key(search.ask()[0].architecture) in near
    search.tell(search.ask()[0], 60.0)  # the best is now too old
    youngest = max(search.history[-6:], key=lambda trial: trial.values["val_accuracy"])
    around = {search.pool.key(each) for each in search.pool.neighbors(youngest.architecture)}
    assert search.pool.key(search.ask()[0].architecture) in around


def test_failures_pull_estimates_down(bundled: TablePool) -> None:
    """The first op of a cell decides here whether its training fails; a search learns to leave that op alone."""
    search = GuidedEvolution(SpacePool(get_space("nasbench201")), n_initial=20, n_candidates=60)
    for _ in range(40):
        (proposal,) = search.ask()
        spec = proposal.architecture.spec
        search.tell(proposal, **({"error": "diverged"} if spec[0] == 2 else {"values": 80.0 + spec.count(2)}))
    failed = [trial.error is not None for trial in search.history]
    assert sum(failed[25:]) <= 3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        ("ninety", "str 'ninety'"),
        (True, "bool"),
        ({"accuracy": 90}, "without val_accuracy"),
        ({"val_accuracy": None}, "NoneType"),
        ([90], "list"),
    ],
)
def test_what_is_no_number_is_a_failure(values: Any, words: str) -> None:
    search = RandomSearch("nasbench201")
    trial = search.tell(search.ask()[0], values)
    assert trial.values is None
    assert words in trial.error


def test_numbers_of_numpy_and_further_values_are_kept() -> None:
    search = RandomSearch("nasbench201")
    trial = search.tell(search.ask()[0], {"val_accuracy": np.float32(90.5), "epochs": np.int64(3)})
    assert trial.values == {"val_accuracy": 90.5, "epochs": 3.0}


def test_the_same_architecture_is_told_once() -> None:
    search = RandomSearch("nasbench201")
    (proposal,) = search.ask()
    search.tell(proposal, 90.0)
    with pytest.raises(InvalidDataError, match="told before as trial 0"):
        search.tell(str(proposal.architecture), 91.0)
    one, twin = get_space("nasbench201").parse((2, 2, 4, 0, 0, 1)), get_space("nasbench201").parse((2, 2, 4, 1, 0, 1))
    search.tell(one, 91.0)
    assert one != twin
    assert search.pool.key(one) == search.pool.key(twin)
    with pytest.raises(InvalidDataError, match="told before as trial 1"):
        search.tell(twin, 91.0)
    assert len(search.history) == 2


def test_wrong_tells_and_options() -> None:
    search = RandomSearch("nasbench201")
    with pytest.raises(InvalidDataError, match="neither"):
        search.tell(search.ask()[0])
    with pytest.raises(InvalidDataError, match="both"):
        search.tell(search.ask()[0], 90.0, error="no")
    with pytest.raises(InvalidArchitectureError):
        search.tell("nonsense", 90.0)
    with pytest.raises(InvalidOptionError, match="n must be"):
        search.ask(0)
    with pytest.raises(InvalidOptionError, match="exceeds"):
        RegularizedEvolution("nasbench201", population_size=3, sample_size=4)
    with pytest.raises(InvalidOptionError, match="standard deviations"):
        GuidedEvolution("nasbench201", estimator="xgboost", acquisition="ei")
    with pytest.raises(InvalidOptionError, match="did you mean 'thompson'"):
        GuidedEvolution("nasbench201", acquisition="tompson")
    with pytest.raises(InvalidOptionError, match="shares"):
        GuidedEvolution("nasbench201", shares=(1, 0))
    with pytest.raises(InvalidOptionError, match="one objective"):
        GuidedEvolution("nasbench201", acquisition="ei", goals=Goals.of("val_accuracy", "-macs_millions"))
    with pytest.raises(InvalidOptionError, match="not known before"):
        RandomSearch("nasbench201", bounds=["latency_ms<=3"])


def test_what_was_never_asked_can_be_told(bundled: TablePool) -> None:
    search = GuidedEvolution(bundled, n_initial=5)
    for architecture in bundled.table.architectures[:8]:
        search.tell(architecture, accuracy(architecture))
    assert search.ask()[0].belief
    with pytest.raises(InvalidArchitectureError, match="does not know"):
        search.tell((1, 1, 1, 1, 1, 1), 10.0)


def test_a_table_with_part_of_a_space_has_neighbours(bundled: TablePool) -> None:
    rng = np.random.default_rng(0)
    small = TablePool(bundled.table.rows(rng.permutation(len(bundled.table))[:60]))
    for architecture in small.table.architectures[:10]:
        near = small.neighbors(architecture)
        assert len(set(near)) == len(near) >= 10
        assert architecture not in near
        assert small.mutate(architecture, rng) in near
        assert small.crossover(architecture, near[0], rng) in small.table.architectures


@every
def test_bounds_on_what_is_known_are_never_broken(name: str) -> None:
    search = make(name, bounds=["macs_millions<=60"])
    go(search, 20)
    macs = get_space("nasbench201").costs([trial.architecture for trial in search.history])[:, 1] / 1e6
    assert macs.max() <= 60


def test_bounds_on_a_table(bundled: TablePool) -> None:
    pool = TablePool(bundled.table, SpacePool(get_space("nasbench201"), ()).bounds)
    assert pool.size == bundled.size
    search = RandomSearch(bundled.table, bounds=["params_millions<=0.5"])
    assert 0 < search.pool.size < bundled.size
    with pytest.raises(InvalidOptionError, match="no row"):
        RandomSearch(bundled.table, bounds=["params_millions<=0.0001"])


def test_a_failure_breaks_the_bounds_that_are_learned() -> None:
    goals = Goals.of("val_accuracy", bounds=["latency_ms<=20", "throughput>=5"])
    search = GuidedEvolution("nasbench201", goals=goals, random_state=0, **QUICK["guided"])
    for number in range(6):
        (proposal,) = search.ask()
        values = {"val_accuracy": 90 - number, "latency_ms": 10 + 10 * number, "throughput": 9 - number}
        search.tell(proposal, **({"error": "out of memory"} if number == 3 else {"values": values}))
    trials = list(search.history)
    latency, throughput = (
        search.surrogate.signs[name] * search.surrogate._labels(name, trials) for name in ("latency_ms", "throughput")
    )
    assert latency[3] == 30
    assert throughput[3] == 7


def test_expected_improvement_is_over_the_best_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def note(mean: Any, std: Any, best: float) -> Any:
        asked.append(best)
        return mean

    monkeypatch.setattr("emprox.search.guided.expected_improvement", note)
    goals = Goals.of("val_accuracy", bounds=["latency_ms<=20"])
    search = GuidedEvolution("nasbench201", goals=goals, acquisition="ei", random_state=0, **QUICK["guided"])
    for accuracy, latency in ((95, 50), (80, 10), (90, 21), (85, 20)):
        search.tell(search.ask()[0], {"val_accuracy": accuracy, "latency_ms": latency})
    search.ask()
    assert asked == [85]


def test_a_search_survives_first_trials_that_all_fail() -> None:
    search = make("guided")
    for number in range(20):
        (proposal,) = search.ask()
        search.tell(proposal, **({"error": "out of memory"} if number < 12 else {"values": 90.0 - number}))
    assert search.ask()[0].belief
