"""The encoder of a store and the index of its entries: of one version, made again where it is not whole."""

import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest

from emprox.encoders import MetricEncoder
from emprox.errors import CorruptFileError, InvalidDataError
from emprox.index import EmbeddingIndex, Record, Store, embeddings
from emprox.index.recovery import check_store, repair_store
from emprox.spaces import get_space

CELLS = list(dict.fromkeys(get_space("nasbench201").sample(np.random.default_rng(0), 40)))
VALUES = np.array([90.0 - 3 * cell.spec.count(1) + cell.spec.count(2) for cell in CELLS])


@pytest.fixture(scope="module")
def encoders() -> list[MetricEncoder]:
    return [MetricEncoder(embedding_size=size).fit(CELLS[:20], VALUES[:20]) for size in (4, 8)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", create=True)
    store.add_records([Record.of(cell, {"val_accuracy": v}) for cell, v in zip(CELLS[:20], VALUES[:20], strict=True)])
    return store


def index_file(store: Store) -> Path:
    return store.path / "embeddings" / f"{store.version()}.index"


def test_no_encoder_until_there_is_one(store: Store, encoders: list[MetricEncoder]) -> None:
    assert store.embedding() is None
    version = store.reembed(encoders[0])
    assert version == store.version() == Store(store.path).version()
    assert store.reembed(encoders[0]) == version
    assert store.reembed(encoders[1]) != version
    assert store.embedding().index.dim == encoders[1].dim


def test_entries_are_embedded_by_exactly_this_encoder(store: Store, encoders: list[MetricEncoder]) -> None:
    store.reembed(encoders[0])
    store.add(CELLS[20], {"val_accuracy": 80.0})
    embedding = store.embedding()
    np.testing.assert_allclose(
        embedding.index.reconstruct(np.arange(21)), encoders[0].transform(CELLS[:21]), rtol=1e-4, atol=1e-5
    )
    ((distance, entry),) = embedding.nearest(CELLS[20:21], 1)[0]
    assert (distance, entry.architecture) == (0, CELLS[20])
    np.testing.assert_allclose(embedding.transform(CELLS[18:23]), encoders[0].transform(CELLS[18:23]), rtol=1e-4, atol=1e-5)
    assert store.records()[-1].embedding == embedding.version
    assert store.records()[0].embedding == ""


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "another", "text", "folder"])
def test_a_damaged_index_is_made_again(
    store: Store, encoders: list[MetricEncoder], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.reembed(encoders[1])
    file = index_file(store)
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[-30] ^= 1
    store.reembed(encoders[0])
    other = index_file(store).read_bytes()
    store.reembed(encoders[1])
    content = {"empty": b"", "cut": whole[:-9], "flipped": bytes(flipped), "another": other, "text": b"[[[[\nx"}
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        file.write_bytes(content[damage])
    seen = []
    monkeypatch.setattr(faiss, "deserialize_index", lambda data: seen.append(data))
    embedding = store.embedding()
    assert seen == []
    np.testing.assert_allclose(
        embedding.index.reconstruct(np.arange(20)), encoders[1].transform(CELLS[:20]), rtol=1e-4, atol=1e-5
    )
    assert damage == "folder" or file.read_bytes() == whole


def test_an_index_of_other_entries_or_code_is_made_again(
    store: Store, encoders: list[MetricEncoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.reembed(encoders[0])
    other = Store(tmp_path / "other", create=True)
    other.add_records([Record.of(cell, {"val_accuracy": 1.0}) for cell in CELLS[20:40]])
    other.reembed(encoders[0])
    index_file(other).write_bytes(index_file(store).read_bytes())
    np.testing.assert_allclose(
        other.embedding().transform(CELLS[20:30]), encoders[0].transform(CELLS[20:30]), rtol=1e-4, atol=1e-5
    )
    transform = MetricEncoder.transform
    monkeypatch.setattr(MetricEncoder, "transform", lambda self, archs: transform(self, archs) + np.float32(1))
    np.testing.assert_allclose(store.embedding().index.reconstruct([3]), encoders[0].transform(CELLS[3:4]), rtol=1e-4, atol=1e-5)


def test_a_damaged_encoder_is_reported_and_can_be_replaced(store: Store, encoders: list[MetricEncoder]) -> None:
    version = store.reembed(encoders[0])
    with (store.path / "embeddings" / version / "manifest.json").open("a") as file:
        file.write("x")
    with pytest.raises(CorruptFileError, match="the records are not: `emprox store reembed` makes another"):
        store.embedding()
    assert store.reembed(encoders[0]) == version
    assert len(store.embedding().entries) == 20


def test_an_encoder_under_another_name_is_refused(store: Store, encoders: list[MetricEncoder]) -> None:
    first, second = store.reembed(encoders[0]), store.reembed(encoders[1])
    folder = store.path / "embeddings"
    (folder / second).rename(folder / "aside")
    (folder / first).rename(folder / second)
    with pytest.raises(CorruptFileError, match="another encoder than its name says"):
        store.embedding()


def test_a_switch_that_fails_changes_nothing(
    store: Store, encoders: list[MetricEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store.reembed(encoders[0])

    def fail(*_: object) -> None:
        raise MemoryError

    for step in ("write_folder", "flush", "read_embedding"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "emprox.index.store.read_embedding" if step == "read_embedding" else f"{embeddings.__name__}.{step}", fail
            )
            with pytest.raises(MemoryError):
                store.reembed(encoders[1])
        assert store.version() == version
    assert len(store.embedding().entries) == 20
    assert not list((store.path / "embeddings").glob(".*"))


def test_unknown_targets(store: Store, encoders: list[MetricEncoder]) -> None:
    with pytest.raises(InvalidDataError, match="expected a target that was measured"):
        store.reembed(encoders[0], "latency_ms")


def test_bytes_of_an_index() -> None:
    for metric in ("l2", "inner_product"):
        index = EmbeddingIndex(3, metric)
        index.add(np.arange(12).reshape(4, 3), ids=[9, 2, 5, 7])
        again = EmbeddingIndex.from_bytes(index.to_bytes())
        assert (again.metric, again.ids.tolist()) == (metric, [9, 2, 5, 7])
        np.testing.assert_array_equal(again.reconstruct([5, 9]), index.reconstruct([5, 9]))
        assert EmbeddingIndex.from_bytes(EmbeddingIndex(3, metric).to_bytes()).dim == 3


def test_every_changed_head_is_refused_and_faiss_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    index = EmbeddingIndex(3)
    index.add(np.arange(6).reshape(2, 3), ids=[9, 2])
    whole = index.to_bytes()
    for reader in ("deserialize_index", "read_index"):
        monkeypatch.setattr(faiss, reader, lambda *_: pytest.fail("FAISS was given a file"))
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        try:
            again = EmbeddingIndex.from_bytes(bytes(changed))
        except CorruptFileError:
            continue
        assert (again.dim, len(again)) == (3, 2)  # an unused number, a vector's or an id's
    for cut in range(len(whole)):
        with pytest.raises(CorruptFileError):
            EmbeddingIndex.from_bytes(whole[:cut])


def test_repair_says_that_the_current_embedding_is_lost(store: Store, encoders: list[MetricEncoder]) -> None:
    version = store.reembed(encoders[0])
    store.close()
    flip_journal = (store.path / "records.journal").read_bytes().replace(b"val", b"vAl", 1)
    (store.path / "records.journal").write_bytes(flip_journal + b"\n")
    assert not any("embedding" in problem for problem in repair_store(store.path).problems)
    assert Store(store.path).version() == version
    (store.path / "records.sqlite").unlink()
    assert any(f"which embedding is current of {version}" in problem for problem in repair_store(store.path).problems)
    assert check_store(store.path).problems == ()
    assert Store(store.path).reembed(encoders[0]) == version


def test_check_looks_at_encoders_and_indexes(store: Store, encoders: list[MetricEncoder]) -> None:
    version = store.reembed(encoders[0])
    assert check_store(store.path).in_embeddings == ()
    index_file(store).unlink()
    assert check_store(store.path).in_embeddings == ()
    for damage in (b"", b"x", b"[]\n", b"[[[\nx"):
        index_file(store).write_bytes(damage)
        (problem,) = check_store(store.path).in_embeddings
        assert problem.endswith(".index is damaged; it is made again when it is next used")
    store.embedding()
    assert check_store(store.path).in_embeddings == ()
    weights = next(file for file in (store.path / "embeddings" / version).iterdir() if file.name != "manifest.json")
    weights.write_bytes(weights.read_bytes()[:-1])
    (problem,) = check_store(store.path).in_embeddings
    assert "is damaged: its checksum" in problem
    assert "emprox store reembed" in problem
    shutil.rmtree(weights.parent)
    assert "missing" in check_store(store.path).in_embeddings[0]
    assert repair_store(store.path).problems == ()
