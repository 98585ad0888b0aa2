import numpy as np
import pytest

from emprox.encodings import Encoding, get_encoding
from emprox.encodings.blocks import BLOCKS, BlockEncoding
from emprox.spaces import SPACES, SearchSpace, get_space
from emprox.testing import EncodingContract


class BlockContract(EncodingContract):
    space: str

    def make_space(self) -> SearchSpace:
        return get_space(self.space)

    def make(self) -> Encoding:
        return get_encoding("blocks", self.space)

    def test_blocks_divide_the_columns(self) -> None:
        encoding = BlockEncoding(self.space)
        ends = [0, *(columns.stop for columns in encoding.blocks.values())]
        assert [columns.start for columns in encoding.blocks.values()] == ends[:-1]
        assert ends[-1] == len(encoding.names)
        for name, columns in encoding.blocks.items():
            assert all(column.startswith(f"{name}:") for column in encoding.names[columns])
            assert name.split(":")[-1] in BLOCKS

    def test_every_block_tells_architectures_apart(self) -> None:
        encoding = BlockEncoding(self.space)
        encoded = encoding.transform(self.sample(200))
        for name, columns in encoding.blocks.items():
            assert encoded[:, columns].std(axis=0).any(), name


class TestNASBench201(BlockContract):
    space = "nasbench201"

    def test_twins_are_one(self) -> None:
        space, encoding = self.make_space(), self.make()
        rows: dict[str, np.ndarray] = {}
        for arch, row in zip(archs := list(space)[::5], encoding.transform(archs), strict=True):
            np.testing.assert_allclose(row, rows.setdefault(space.canonical_hash(arch), row), rtol=1e-5, atol=1e-5)


class TestNASBench101(BlockContract):
    space = "nasbench101"


class TestDARTS(BlockContract):
    space = "darts"


class TestTransNAS(BlockContract):
    space = "transnas101-micro"


class TestMobileNetV3(BlockContract):
    space = "ofa-mobilenetv3"


def test_every_space_has_a_contract() -> None:
    tested = {contract.space for contract in (TestNASBench201, TestNASBench101, TestDARTS, TestTransNAS, TestMobileNetV3)}
    assert tested == set(SPACES)


def test_a_cell_by_hand() -> None:
    """Three paths: a 3x3 convolution after a pooling, a 1x1 convolution, and a plain skip."""
    encoding = BlockEncoding("nasbench201")
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    row = dict(zip(encoding.names, encoding.transform([encoding.space.parse(text)])[0].tolist(), strict=True))
    expected = {
        "work:growth": 4,
        "work:weights": 10,
        "work:layers": 2,
        "paths:paths": 3,
        "paths:plain_paths": 1,
        "paths:avg_pool_3x3": 1 / 3,
        "paths:mean": 1,
        "paths:shortest": 0,
        "paths:longest": 2,
        "paths:connected": 1,
        "spans:mean_growth": 4 / 3,
        "spans:longest_weights": 9,
        "spans:std_layers": np.sqrt(2 / 9),
        "reach:longest:nor_conv_3x3+avg_pool_3x3": 2,
        "reach:longest:nor_conv_1x1": 1,
        "ends:from_input:avg_pool_3x3": 1,
        "ends:to_output:avg_pool_3x3": 0,
        "ends:to_output:nor_conv_3x3+nor_conv_1x1": 2,
        "shape:edges": 6,
        "shape:nodes": 3,
    }
    assert {name: row[name] for name in expected} == pytest.approx({name: np.log1p(x) for name, x in expected.items()}, abs=1e-5)


def test_a_dead_cell() -> None:
    encoding = BlockEncoding("nasbench201")
    row = dict(zip(encoding.names, encoding.transform([encoding.space.parse((1,) * 6)])[0].tolist(), strict=True))
    assert [row[name] for name in ("paths:connected", "paths:paths", "work:layers")] == [0, 0, 0]
    assert row["paths:longest"] == pytest.approx(-np.log(2))


def test_a_space_without_traits() -> None:
    class Plain(type(get_space("nasbench201"))):
        traits = {}

    row = BlockEncoding(Plain()).transform([get_space("nasbench201").parse((2,) * 6)])[0]
    assert row[:3].tolist() == [0, 0, 0]
