"""Features of recurrent cells."""

import numpy as np

from emprox.encodings import Encoding, get_encoding
from emprox.spaces import Architecture, get_family
from emprox.testing import EncodingContract

FAMILY = get_family("nasbench-nlp")
OPS = ("activation_tanh", "activation_sigm", "activation_leaky_relu")


class TestRecurrent(EncodingContract):
    def make(self) -> Encoding:
        return get_encoding("recurrent", "nasbench-nlp")

    def sample(self, n: int, seed: int = 0) -> list[Architecture]:
        chains = [";".join(f"n{j}={OPS[(i + j) % 3]}({'x' if j == 0 else f'n{j - 1}'})" for j in range(i + 1)) for i in range(n)]
        return [FAMILY.parse(f"{chain};h_new_0=linear(n{i},h_prev_0)") for i, chain in enumerate(chains)]

    def test_counts_operators_states_and_costs(self) -> None:
        cell = FAMILY.parse("f=linear(x,h_prev_0); g=linear(x,f); h_new_0=blend(g,f,h_prev_0)")
        encoding = self.make()
        row = dict(zip(encoding.names, encoding.transform([cell])[0], strict=True))
        assert (row["count:linear"], row["count:blend"], row["count:h_prev_0"], row["count:h_prev_1"]) == (2, 1, 1, 0)
        assert (row["linear>blend_first"], row["linear>linear"], row["x>linear"], row["h_prev_0>h_new_0"]) == (1, 1, 2, 0)
        assert row["log_parameters"] == np.float32(np.log1p(FAMILY.count_parameters(cell)))

    def test_blocks_are_all_columns_once(self) -> None:
        encoding = self.make()
        ends = [0, *(block.stop for block in encoding.blocks.values())]
        assert [block.start for block in encoding.blocks.values()] == ends[:-1]
        assert ends[-1] == len(encoding.names)
        assert all(name.startswith("count:") for name in encoding.names[encoding.blocks["counts"]])
        assert encoding.names[encoding.blocks["shape"]][0] == "nodes"
