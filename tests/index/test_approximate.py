"""Indexes of many embeddings: what they find, what survives, and what a file of someone else's can do to them."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from emprox.errors import CorruptFileError, EmproxError, InvalidDataError, InvalidOptionError
from emprox.index import EmbeddingIndex, embedding_index
from emprox.index.approximate import FINDERS
from emprox.index.ids import Ids

KINDS = tuple(FINDERS)
N, DIM = 3000, 8
RNG = np.random.default_rng(100)
VECTORS = RNG.standard_normal((N, DIM)).astype(np.float32)
QUERIES = RNG.standard_normal((50, DIM)).astype(np.float32)
FACTS = {kind: {"metric": "l2", "kind": kind, "finder": kind} for kind in KINDS}


def packed(arrays: dict[str, np.ndarray], facts: object) -> bytes:
    return save(arrays, {"index": json.dumps(facts)})


def make(kind: str, metric: str = "l2") -> EmbeddingIndex:
    index = EmbeddingIndex(DIM, metric, kind)
    index.add(VECTORS)
    return index


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    return {kind: make(kind).to_bytes() for kind in KINDS}


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
@pytest.mark.parametrize("kind", KINDS)
def test_finds_nearly_all_and_tells_distances_exactly(kind: str, metric: str) -> None:
    index, exact = make(kind, metric), make("flat", metric)
    assert not index.is_exact
    assert index.recall(QUERIES) >= 0.95
    distances, ids = index.search(QUERIES, 10)
    expected = {
        "l2": np.linalg.norm(VECTORS[ids] - QUERIES[:, None], axis=-1),
        "inner_product": (VECTORS[ids] * QUERIES[:, None]).sum(-1),
    }
    np.testing.assert_allclose(distances, expected[metric], rtol=1e-5, atol=1e-5)
    assert exact.recall(QUERIES) == 1
    assert (index.search(VECTORS[:50], 1)[1][:, 0] == np.arange(50)).all() or metric == "inner_product"


@pytest.mark.parametrize("kind", KINDS)
def test_more_neighbours_than_candidates_are_searched_exactly(kind: str) -> None:
    for mine, theirs in zip(make(kind).search(QUERIES[:3], N), make("flat").search(QUERIES[:3], N), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_index, "EXACT_UP_TO", 1200)
    monkeypatch.setattr(embedding_index, "SHORT_CODES_FROM", 2000)
    index, finders = EmbeddingIndex(DIM), []
    for start in range(0, N, 600):
        index.add(VECTORS[start : start + 600])
        finders.append(None if index.is_exact else index._finder.kind)
    assert finders == [None, None, "ivf", "ivfpq", "ivfpq"]
    index.remove(np.arange(2000))
    assert index.is_exact
    np.testing.assert_array_equal(index.ids, np.arange(2000, N))


def test_grown_fourfold_it_is_learned_again() -> None:
    index = EmbeddingIndex(DIM, kind="ivf")
    learned_from = []
    for start in range(0, 5000, 1000):
        index.add(np.resize(VECTORS, (5000, DIM))[start : start + 1000])
        learned_from.append(index._finder.learned_from)
    assert learned_from == [1000, 1000, 1000, 4000, 4000]
    assert index._finder.index.nlist == int(2 * 4000**0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_ties_are_in_the_order_of_ids(kind: str) -> None:
    index, ids = EmbeddingIndex(DIM, kind=kind), np.random.default_rng(0).permutation(3 * N)
    index.add(np.concatenate([VECTORS] * 3), ids)
    distances, found = index.search(VECTORS[:20], 3)
    assert (distances == 0).all()
    np.testing.assert_array_equal(found, np.sort(ids.reshape(3, N)[:, :20].T))


@pytest.mark.parametrize("kind", KINDS)
def test_removed_ones_are_not_found_and_leave_in_time(kind: str, tmp_path: Path) -> None:
    index = make(kind)
    index.remove(np.arange(0, 500))
    finder = index._finder
    index.add(VECTORS[:1], ids=[3])
    assert index._finder is finder
    assert (len(index), len(index.ids)) == (N - 499, N - 499)
    for one in (index, EmbeddingIndex.from_bytes(index.to_bytes())):
        found = one.search(VECTORS[:100], 10)[1]
        assert ((found >= 500) | (found == 3)).all()
        np.testing.assert_array_equal(one.reconstruct([3, 500]), VECTORS[[0, 500]])
        with pytest.raises(InvalidDataError, match="not in the index"):
            one.reconstruct([4])
    index.remove(np.arange(500, 700))
    assert index._finder is not finder
    assert len(index._vectors) == len(index) == N - 699
    assert index.recall(QUERIES) >= 0.95
    np.testing.assert_array_equal(index.add(VECTORS[:1]), [N])


@pytest.mark.parametrize("kind", KINDS)
def test_opened_files_answer_alike_and_stay_as_they_are(kind: str, tmp_path: Path) -> None:
    index = make(kind)
    index.save(tmp_path / "index")
    before = (tmp_path / "index").read_bytes()
    opened = EmbeddingIndex.load(tmp_path / "index")
    assert isinstance(opened._vectors.all, np.memmap)
    assert (opened.kind, opened.dim, len(opened)) == (kind, DIM, N)
    for one in (opened, EmbeddingIndex.from_bytes(before), copy.deepcopy(index), pickle.loads(pickle.dumps(opened))):
        for mine, theirs in zip(one.search(QUERIES, 10), index.search(QUERIES, 10), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert opened.to_bytes() == before
    np.testing.assert_array_equal(opened.add(QUERIES), N + np.arange(50))
    assert (opened.search(QUERIES, 1)[0] == 0).all()
    opened.save(tmp_path / "grown")
    assert EmbeddingIndex.load(tmp_path / "grown").search(QUERIES, 1)[1].ravel().tolist() == (N + np.arange(50)).tolist()
    assert (tmp_path / "index").read_bytes() == before


def test_an_opened_index_can_be_saved_over_its_own_file(tmp_path: Path) -> None:
    make("ivf").save(tmp_path / "index")
    opened = EmbeddingIndex.load(tmp_path / "index")
    opened.save(tmp_path / "index")
    np.testing.assert_array_equal(opened.reconstruct(np.arange(N)), VECTORS)
    np.testing.assert_array_equal(EmbeddingIndex.load(tmp_path / "index").reconstruct(np.arange(N)), VECTORS)


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    def apply(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = np.ascontiguousarray(change(arrays[name]))

    return apply


def put(where: int, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def apply(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[where] = value
        return array

    return apply


MALICE = {
    "ivf": [
        ("lists", put(0, 10**6)),
        ("lists", put(0, -1)),
        ("centres", put(0, np.nan)),
        ("learned", lambda a: a[1:]),
        ("codes", lambda a: a[:, 1:]),
    ],
    "ivfpq": [("lists", put(0, 10**6)), ("learned", lambda a: a[:-1]), ("learned", put(3, np.inf)), ("codes", lambda a: a[1:])],
    "hnsw": [
        ("links", put(0, N)),
        ("links", put(0, -2)),
        ("links", lambda a: a[1:]),
        ("levels", put(0, 10**6)),
        ("levels", put(0, 0)),
        ("start", put(0, N)),
        ("start", put(0, -1)),
        ("codes", lambda a: a.astype(np.int16)),
    ],
}
MALICE_OF_ALL = [
    ("ids", put(0, -1)),
    ("ids", put(0, 1)),
    ("ids", lambda a: a[1:]),
    ("ids", lambda a: a.astype(np.float32)),
    ("gone", put(0, 2)),
    ("gone", lambda a: a[1:]),
    ("vectors", lambda a: a[1:]),
    ("vectors", lambda a: a.astype(np.float64)),
    ("vectors", lambda a: a.ravel()),
    ("vectors", lambda a: a[:0]),
    ("learned_from", put(0, 0)),
    ("learned_from", lambda a: np.concatenate([a, a])),
]


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_that_do_not_fit_are_refused(kind: str, whole: dict[str, bytes]) -> None:
    for name, change in (*MALICE[kind], *MALICE_OF_ALL):
        arrays = load(whole[kind])
        changed(name, change)(arrays)
        with pytest.raises(CorruptFileError):
            EmbeddingIndex.from_bytes(packed(arrays, FACTS[kind]))
    for name in load(whole[kind]):
        arrays = load(whole[kind])
        del arrays[name]
        with pytest.raises(CorruptFileError):
            EmbeddingIndex.from_bytes(packed(arrays, FACTS[kind]))
    for facts in (
        {},
        [],
        {"kind": 3},
        FACTS[kind] | {"finder": "lsh"},
        FACTS[kind] | {"metric": "cosine"},
        FACTS[kind] | {"kind": "none"},
    ):
        with pytest.raises(CorruptFileError, match="it says"):
            EmbeddingIndex.from_bytes(packed(load(whole[kind]), facts))


def test_links_to_levels_that_are_not_there_are_refused(whole: dict[str, bytes]) -> None:
    """FAISS would read past the links of an embedding."""
    arrays = load(whole["hnsw"])
    high, low = int(np.argmax(arrays["levels"])), int(np.argmin(arrays["levels"]))
    first = 16 * int((1 + arrays["levels"][:high].astype(int)).sum())
    changed("links", put(first + 32, low))(arrays)
    with pytest.raises(CorruptFileError, match="a level that is not there"):
        EmbeddingIndex.from_bytes(packed(arrays, FACTS["hnsw"]))


share = st.floats(0, 1, exclude_max=True)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    changes=st.lists(st.tuples(share | share.map(lambda part: part / 50), st.integers(1, 255)), min_size=1, max_size=5),
    kept=st.just(1.0) | share,
)
def test_damaged_files_raise_errors_of_emprox_only(
    whole: dict[str, bytes], kind: str, changes: list[tuple[float, int]], kept: float
) -> None:
    body = bytearray(whole[kind])
    for place, difference in changes:
        body[int(place * len(body))] ^= difference
    try:
        index = EmbeddingIndex.from_bytes(bytes(body[: int(kept * len(body))]))
        index.search(np.zeros((2, index.dim)), 5)
    except EmproxError:
        return
    assert index.dim == DIM


def test_faiss_reads_no_file(whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in ("deserialize_index", "read_index"):
        monkeypatch.setattr(faiss, reader, lambda *_: pytest.fail("FAISS was given a file"))
    for kind, data in whole.items():
        (tmp_path / kind).write_bytes(data)
        EmbeddingIndex.load(tmp_path / kind).search(QUERIES, 3)


def test_mapped_embeddings_are_looked_at_when_they_are_used(whole: dict[str, bytes], tmp_path: Path) -> None:
    arrays = load(whole["ivf"])
    arrays["vectors"] = np.full_like(arrays["vectors"], np.nan)
    (tmp_path / "index").write_bytes(packed(arrays, FACTS["ivf"]))
    opened = EmbeddingIndex.load(tmp_path / "index")
    with pytest.raises(CorruptFileError, match="not finite"):
        opened.search(QUERIES, 3)


def test_a_gpu_is_used_where_faiss_sees_one(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []

    def to_gpu(resources: object, device: int, index: Any) -> Any:
        copied.append((device, index.ntotal))
        return faiss.clone_index(index)

    expected = [make(kind).search(QUERIES, 5) for kind in ("flat", "ivf", "hnsw")]
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", to_gpu, raising=False)
    for kind, answers in zip(("flat", "ivf", "hnsw"), expected, strict=True):
        index = make(kind)
        for _ in range(2):
            for mine, theirs in zip(index.search(QUERIES, 5), answers, strict=True):
                np.testing.assert_array_equal(mine, theirs)
        index.add(QUERIES[:1])
        assert index.search(QUERIES[:1], 1)[1].tolist() == [[N]]
        copy.deepcopy(index)
    assert copied == [(0, N), (0, N + 1)] * 2


def test_only_some_may_be_found() -> None:
    for kind in ("flat", "ivf"):
        index, among = make(kind), RNG.random(N) < 0.05
        found = index.search(QUERIES, 10, among)[1]
        assert among[found].all()
        exact = np.argsort(np.linalg.norm(VECTORS - QUERIES[:, None], axis=-1) + np.where(among, 0, np.inf), axis=1)[:, :10]
        assert np.mean([len(np.intersect1d(*rows)) for rows in zip(found, exact, strict=True)]) >= 9.5
        with pytest.raises(InvalidDataError, match="among"):
            index.search(QUERIES, 10, among[1:])


def test_unknown_kinds() -> None:
    with pytest.raises(
        InvalidOptionError, match="index must be one of auto, flat, ivf, hnsw, ivfpq, got 'hsnw'; did you mean 'hnsw'"
    ):
        EmbeddingIndex(2, kind="hsnw")


steps = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 30), unique=True, max_size=6)), max_size=12)


@given(steps=steps, asked=st.lists(st.integers(0, 30), max_size=10))
def test_ids_are_looked_up_as_in_a_dict(steps: list[tuple[bool, list[int]]], asked: list[int]) -> None:
    ids, rows, count = Ids(np.empty(0, np.int64)), {}, 0
    for adds, some in steps:
        chosen = np.array([one for one in some if (one in rows) != adds], dtype=np.int64)
        if adds:
            ids.add(chosen)
            rows |= {int(one): count + i for i, one in enumerate(chosen)}
            count += len(chosen)
        else:
            ids.remove(ids.rows(chosen))
            rows = {one: row for one, row in rows.items() if one not in chosen}
        assert ids.rows(np.array(asked, dtype=np.int64)).tolist() == [rows.get(one, -1) for one in asked]
        assert (len(ids), ids.count_gone) == (count, count - len(rows))


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=4))
def test_a_flat_index_is_the_same_however_it_was_filled(cuts: list[int]) -> None:
    whole, parts = EmbeddingIndex(DIM, kind="flat"), EmbeddingIndex(DIM, kind="flat")
    whole.add(VECTORS[:200])
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 200], strict=True):
        parts.add(VECTORS[start:end])
    assert whole.to_bytes() == parts.to_bytes()


def test_faiss_can_read_a_flat_index() -> None:
    for metric in ("l2", "inner_product"):
        index = EmbeddingIndex(DIM, metric)
        index.add(VECTORS[:20], ids=np.arange(20) * 3)
        theirs = faiss.deserialize_index(np.frombuffer(index.to_bytes(), np.uint8))
        assert faiss.serialize_index(theirs).tobytes() == index.to_bytes()
