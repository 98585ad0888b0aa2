from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emprox.errors import CorruptFileError, InvalidDataError, InvalidOptionError, StorageError
from emprox.index import EmbeddingIndex

DIM = 3
grid = hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(DIM)), elements=st.integers(-2, 2).map(float))
"""Points on a small grid: many are equal, many distances tie."""


def brute_force(vectors, ids, queries, k, metric):
    result = []
    for query in queries.astype(np.float64):
        x = vectors.astype(np.float64)
        key = np.linalg.norm(x - query, axis=1) if metric == "l2" else -(x @ query)
        order = sorted(range(len(ids)), key=lambda i: (round(key[i], 9), ids[i]))[:k]
        result.append([(ids[i], abs(key[i]) if metric == "l2" else -key[i]) for i in order])
    return result


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
@given(vectors=grid, queries=grid, k=st.integers(1, 40), seed=st.integers(0, 1000))
def test_equals_brute_force_whatever_the_order_of_insertion(metric, vectors, queries, k, seed) -> None:
    ids = np.random.default_rng(seed).permutation(1000)[: len(vectors)]
    index = EmbeddingIndex(DIM, metric)
    index.add(vectors, ids)
    distances, found = index.search(queries, k)
    expected = brute_force(vectors, ids.tolist(), queries, k, metric)
    assert found.tolist() == [[i for i, _ in row] for row in expected]
    np.testing.assert_allclose(distances, [[d for _, d in row] for row in expected], atol=1e-5)
    shuffled = np.random.default_rng(seed).permutation(len(vectors))
    other = EmbeddingIndex(DIM, metric)
    for i in shuffled:
        other.add(vectors[i : i + 1], ids[i : i + 1])
    for mine, theirs in zip(index.search(queries, k), other.search(queries, k), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_close_points_in_a_large_batch_are_ranked_exactly() -> None:
    """FAISS expands the square for large batches; far from the origin that alone would order these by rounding."""
    rng = np.random.default_rng(0)
    vectors = (1 + 1e-4 * rng.standard_normal((500, 32))).astype(np.float32)
    index = EmbeddingIndex(32)
    index.add(vectors)
    distances, ids = index.search(vectors, 5)
    assert (distances[:, 0] == 0).all()
    np.testing.assert_array_equal(ids[:, 0], np.arange(500))
    exact = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors, axis=-1)
    np.testing.assert_array_equal(ids, np.argsort(exact, axis=1)[:, :5])


def test_ids_survive_removal_saving_and_loading(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((10, DIM)).astype(np.float32)
    index = EmbeddingIndex(DIM)
    np.testing.assert_array_equal(index.add(vectors[:4], ids=[5, 3, 9, 100]), [5, 3, 9, 100])
    np.testing.assert_array_equal(index.add(vectors[4:6]), [101, 102])
    index.remove([3, 101])
    assert index.ids.tolist() == [5, 9, 100, 102]
    index.save(tmp_path / "index")
    again = EmbeddingIndex.load(tmp_path / "index")
    for one in (index, again):
        assert (len(one), one.dim, one.metric) == (4, DIM, "l2")
        np.testing.assert_array_equal(one.reconstruct([102, 5]), vectors[[5, 0]])
        np.testing.assert_array_equal(one.add(vectors[:1]), [103])
    for mine, theirs in zip(index.search(vectors, 3), again.search(vectors, 3), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_empty_index_and_empty_query() -> None:
    index = EmbeddingIndex(DIM)
    assert [part.shape for part in index.search(np.ones((2, DIM)), 5)] == [(2, 0), (2, 0)]
    index.add(np.ones((4, DIM)))
    assert [part.shape for part in index.search(np.ones((0, DIM)), 5)] == [(0, 4), (0, 4)]


@pytest.mark.parametrize("ids", [[1, 1], [0, 7], [-1, 5], [5], [0.5, 1.5]])
def test_bad_ids_change_nothing(ids: list[float]) -> None:
    index = EmbeddingIndex(DIM)
    index.add(np.zeros((1, DIM)), ids=[7])
    with pytest.raises(InvalidDataError, match="ids"):
        index.add(np.ones((2, DIM)), ids=ids)
    assert index.ids.tolist() == [7]


@pytest.mark.parametrize("vectors", [np.ones((2, 4)), np.ones(3), np.full((1, 3), np.nan), np.full((1, 3), np.inf)])
def test_bad_vectors(vectors: np.ndarray) -> None:
    index = EmbeddingIndex(DIM)
    with pytest.raises(InvalidDataError, match="vectors"):
        index.add(vectors)
    with pytest.raises(InvalidDataError, match="vectors"):
        index.search(vectors, 1)


def test_bad_options_and_unknown_ids() -> None:
    with pytest.raises(InvalidOptionError, match="dim"):
        EmbeddingIndex(0)
    with pytest.raises(InvalidOptionError, match="metric must be one of l2, inner_product"):
        EmbeddingIndex(2, "cosine")
    index = EmbeddingIndex(DIM)
    index.add(np.ones((2, DIM)))
    for k in (0, -1, 1.0, True):
        with pytest.raises(InvalidOptionError, match="k must be an integer of at least 1"):
            index.search(np.ones((1, DIM)), k)
    for method in (index.remove, index.reconstruct):
        with pytest.raises(InvalidDataError, match="not in the index"):
            method([0, 2])
    assert len(index) == 2


def test_files_that_are_no_index(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no index file"):
        EmbeddingIndex.load(tmp_path / "none")
    index = EmbeddingIndex(DIM)
    index.add(np.ones((5, DIM)))
    index.save(tmp_path / "index")
    whole = (tmp_path / "index").read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        with pytest.raises(CorruptFileError, match="not a FAISS index"):
            EmbeddingIndex.load(tmp_path / "cut")
    with pytest.raises(StorageError, match="could not write"):
        index.save(tmp_path / "index" / "below a file")


def test_numbers_whose_squares_overflow_are_an_error() -> None:
    index = EmbeddingIndex(2)
    index.add(np.eye(2))
    with pytest.raises(InvalidDataError, match=r"beyond 6\.5e\+18, got 1e\+20; scale them"):
        index.search([[1e20, 0]], 2)
    distances, ids = index.search([[1e18, 0]], 2)
    assert np.isfinite(distances).all()
    assert sorted(ids[0]) == [0, 1]
