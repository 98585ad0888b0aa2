"""A history survives crashes: what was told is there, what was cut is dropped, what is damaged is said."""

import json
from pathlib import Path

import pytest

from emprox.errors import CorruptFileError, InvalidOptionError, StorageError
from emprox.search import GuidedEvolution, History, RandomSearch, RegularizedEvolution, Search

FACTS = {"space": "nasbench201", "seed": 1}


def accuracy(architecture: object) -> float:
    return 90 - sum(architecture.spec) + 0.1 * architecture.spec[0]


def go(search: Search, n: int) -> list[str]:
    for _ in range(n):
        (proposal,) = search.ask()
        search.tell(proposal, accuracy(proposal.architecture))
    return [str(trial.architecture) for trial in search.history]


def make(kind: type[Search], history: History | None = None) -> Search:
    options = {"estimator": "gp", "n_initial": 4, "n_candidates": 20} if kind is GuidedEvolution else {}
    if kind is RegularizedEvolution:
        options = {"population_size": 5, "sample_size": 2}
    return kind("nasbench201", history=history, random_state=1, **options)


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution, GuidedEvolution])
def test_a_resumed_search_goes_on_as_if_it_had_not_stopped(kind: type[Search], tmp_path: Path) -> None:
    whole = go(make(kind), 14)
    file = tmp_path / "history.jsonl"
    for stop in (3, 5, 6):
        history = History(file, FACTS)
        go(make(kind, history), stop)
        history.close()
    history = History(file, FACTS)
    assert [str(trial.architecture) for trial in history] == whole
    assert history[3].values == {"val_accuracy": accuracy(history[3].architecture)}
    history.close()


def test_every_cut_leaves_the_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    history = History(file, FACTS)
    told = go(make(RandomSearch, history), 3)
    history.close()
    content = file.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in [0, 5, *ends, *(end + 7 for end in ends[:-1]), *(end - 1 for end in ends)]:
        file.write_bytes(content[:cut])
        history = History(file, FACTS)
        whole = max(0, sum(end <= cut for end in ends) - 1)
        assert [str(trial.architecture) for trial in history] == told[:whole]
        assert history.dropped == (cut not in (0, *ends))
        go(make(RandomSearch, history), 3 - whole)
        history.close()
        again = History(file, FACTS)
        assert [str(trial.architecture) for trial in again] == told
        again.close()


def test_failures_and_beliefs_come_back(tmp_path: Path) -> None:
    history = History(tmp_path / "h.jsonl", FACTS)
    search = make(GuidedEvolution, history)
    go(search, 6)
    search.tell(search.ask()[0], error=RuntimeError("out of memory"), seconds=2.0)
    history.close()
    again = History(tmp_path / "h.jsonl", FACTS)
    assert list(again) == list(history)
    assert again[-1].error == "RuntimeError: out of memory"
    assert set(again[5].belief["val_accuracy"]) == {"estimate", "std"}
    again.close()


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (2, "nonsense", "line 2"),
        (2, '{"number": 0}', "line 2"),
        (3, None, "trial 2 where 1"),
        (1, '{"format": 7, "facts": {}}', "format 7"),
        (1, "[]", "line 1"),
    ],
)
def test_a_damaged_line_is_an_error(line: int, text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    history = History(file, FACTS)
    go(make(RandomSearch, history), 3)
    history.close()
    lines = file.read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    file.write_text("\n".join(lines) + "\n")
    before = file.read_bytes()
    with pytest.raises(CorruptFileError, match=words):
        History(file, FACTS)
    assert file.read_bytes() == before


def test_a_file_belongs_to_one_search_at_a_time_and_to_one_question(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    history = History(file, FACTS)
    with pytest.raises(StorageError, match="another search"):
        History(file, FACTS)
    history.close()
    assert file.read_bytes() == b""
    history = History(file, FACTS)  # one that has asked nothing belongs to no search yet
    go(make(RandomSearch, history), 1)
    history.close()
    with pytest.raises(InvalidOptionError, match=r"'seed': 1.*'seed': 2"):
        History(file, {**FACTS, "seed": 2})
    History(file, FACTS).close()
    with pytest.raises(StorageError, match="cannot open"):
        History(tmp_path, FACTS)


def test_lines_are_strict_json(tmp_path: Path) -> None:
    history = History(tmp_path / "h.jsonl", FACTS)
    search = make(RandomSearch, history)
    search.tell(search.ask()[0], float("nan"))
    history.close()
    line = json.loads((tmp_path / "h.jsonl").read_text().splitlines()[1], parse_constant=pytest.fail)
    assert line["values"] is None
    assert "finite" in line["error"]
