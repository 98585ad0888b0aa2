import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emprox.encodings import ENCODINGS, Encoding, SequenceEncoding, get_encoding
from emprox.encodings.blocks import BlockEncoding
from emprox.encodings.features import FeatureEncoding
from emprox.encodings.networks import NetworkEncoding
from emprox.encodings.recurrent import RecurrentEncoding
from emprox.errors import InvalidArchitectureError, UnknownNameError
from emprox.proxies.curves import CurveEncoding
from emprox.proxies.encoding import ProxyEncoding
from emprox.spaces import Architecture, get_space
from emprox.spaces.nasbench201 import EDGES, OPS
from emprox.testing import EncodingContract

SPACE = get_space("nasbench201")
architectures = st.tuples(*[st.integers(0, 4)] * 6).map(lambda spec: Architecture("nasbench201", spec))


class TestOneHot(EncodingContract):
    def make(self) -> Encoding:
        return get_encoding("onehot", "nasbench201")

    def test_one_indicator_per_edge(self) -> None:
        arch = SPACE.parse((2, 1, 0, 2, 1, 4))
        encoding = self.make()
        on = [name for name, value in zip(encoding.names, encoding.transform([arch])[0], strict=True) if value]
        assert on == [f"node{i + 1}={OPS[op]}" for i, op in enumerate(arch.spec)]


class TestPath(EncodingContract):
    def make(self) -> Encoding:
        return get_encoding("path", "nasbench201")

    def test_columns_are_the_paths_from_input_to_output(self) -> None:
        encoding = self.make()
        assert len(encoding.names) == 5 + 25 + 125
        for arch in self.sample(50):
            row = encoding.transform([arch])[0]
            on = {name for name, value in zip(encoding.names, row, strict=True) if value}
            assert on == paths(arch)


def paths(arch: Architecture) -> set[str]:
    """Follow the feature maps 0 to 3 of the definition, edge by edge."""
    op = {edge: OPS[number] for edge, number in zip(EDGES, arch.spec, strict=True)}
    stops = [(0, *middle, 3) for n in range(3) for middle in itertools.combinations((1, 2), n)]
    return {">".join(op[edge] for edge in itertools.pairwise(stop)) for stop in stops}


class TestSequence(EncodingContract):
    def make(self) -> SequenceEncoding:
        return SequenceEncoding("nasbench201")

    def test_tokens_of_a_known_cell(self) -> None:
        tokens = self.make().transform([SPACE.parse((2, 1, 0, 3, 4, 0))])[0].tolist()
        columns = [tokens[(j + 2) * (j - 1) // 2 : (j + 3) * j // 2] for j in range(1, 8)]
        assert columns == [
            [2, 5],
            [2, 1, 4],
            [2, 1, 1, 3],
            [1, 2, 1, 1, 6],
            [1, 2, 1, 1, 1, 7],
            [1, 1, 2, 1, 2, 1, 3],
            [1, 1, 1, 2, 1, 2, 2, 8],
        ]

    def test_whole_space_there_and_back(self) -> None:
        encoding, everything = self.make(), list(SPACE)
        tokens = encoding.transform(everything)
        assert tokens.shape == (15_625, encoding.length) == (15_625, 35)
        assert tokens.max() == len(encoding.vocabulary) - 1
        assert encoding.inverse_transform(tokens) == everything

    @given(arch=architectures, position=st.integers(0, 34), token=st.integers(-1, 9))
    def test_a_changed_token_is_another_architecture_or_refused(self, arch: Architecture, position: int, token: int) -> None:
        encoding = self.make()
        tokens = encoding.transform([arch])
        tokens[0, position] = token
        try:
            again = encoding.inverse_transform(tokens)
        except InvalidArchitectureError:
            return
        np.testing.assert_array_equal(encoding.transform(again), tokens)

    def test_wrong_length(self) -> None:
        with pytest.raises(InvalidArchitectureError, match=r"length 35, got an array of shape \(2, 34\)"):
            self.make().inverse_transform(np.ones((2, 34), dtype=int))


def test_every_encoding_has_a_contract() -> None:
    tested = {type(contract().make()) for contract in (TestOneHot, TestPath, TestSequence)} | {
        BlockEncoding,
        FeatureEncoding,
        NetworkEncoding,
        ProxyEncoding,
        CurveEncoding,
        RecurrentEncoding,
    }
    assert tested == {ENCODINGS.get(name) for name in ENCODINGS}


def test_unknown_encoding_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'onehot'"):
        get_encoding("one-hot", "nasbench201")
