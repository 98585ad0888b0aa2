"""Remembered encodings give what the encoding gives, and compute each row once."""

import numpy as np
import pytest

from emprox import EmProx, get_space
from emprox.encodings import get_encoding
from emprox.encodings.blocks import BlockEncoding
from emprox.encodings.remembered import Memory, RememberedEncoding

SPACE = get_space("nasbench201")


def test_rows_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = SPACE.sample(np.random.default_rng(0), 30)
    plain = get_encoding("blocks", SPACE)
    computed: list[int] = []
    transform = BlockEncoding.transform
    monkeypatch.setattr(BlockEncoding, "transform", lambda self, a: computed.append(len(a)) or transform(self, a))
    memory = Memory()
    for _ in range(2):
        with memory.used():
            encoding = get_encoding("blocks", SPACE)
        assert isinstance(encoding, RememberedEncoding)
        assert np.array_equal(encoding.transform([*cells, cells[0]]), transform(plain, [*cells, cells[0]]))
        assert encoding.transform([]).shape == (0, len(plain.names))
    assert (encoding.names, encoding.blocks) == (plain.names, plain.blocks)
    assert sum(computed) == len(memory) == len(set(cells))
    assert not isinstance(get_encoding("blocks", SPACE), RememberedEncoding)


def test_memory_is_bounded() -> None:
    memory = Memory(most=10)
    with memory.used():
        encoding = get_encoding("onehot", SPACE)
    cells = list(dict.fromkeys(SPACE.sample(np.random.default_rng(1), 40)))
    for start in range(0, 30, 6):
        part = cells[start : start + 6]
        assert np.array_equal(encoding.transform(part), get_encoding("onehot", SPACE).transform(part))
        assert len(memory) <= 10
    assert len(encoding.transform(cells)) == len(cells)


def test_an_estimator_estimates_as_it_does_without() -> None:
    cells = SPACE.sample(np.random.default_rng(0), 60)
    accuracy = [90.0 - a.spec.count(1) for a in cells[:30]]
    with Memory().used():
        remembered = EmProx().fit(cells[:30], accuracy)
    assert np.array_equal(remembered.predict(cells), EmProx().fit(cells[:30], accuracy).predict(cells))
