import gc

import numpy as np
import pytest

from emprox.encodings import Encoding, get_encoding
from emprox.encodings import networks as module
from emprox.encodings.graphs import network_features
from emprox.spaces import get_family, get_space
from emprox.testing import EncodingContract

SPACE, FAMILY = get_space("nasbench201"), get_family("network")


class TestNetworkEncoding(EncodingContract):
    def make(self) -> Encoding:
        return get_encoding("network", "nasbench201")

    def test_blocks_hold_all_columns_once(self) -> None:
        encoding = self.make()
        columns = np.concatenate([np.arange(len(encoding.names))[block] for block in encoding.blocks.values()])
        assert columns.tolist() == list(range(len(encoding.names)))
        assert encoding.names[encoding.blocks["stages"]][0] == "stage0:macs"

    def test_rows_of_graphs_are_kept_as_long_as_these(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = len(module._KEPT)
        networks = [FAMILY.read(a) for a in SPACE.sample(np.random.default_rng(5), 3)]
        encoding = get_encoding("network", FAMILY)
        first = encoding.transform(networks[:2])
        asked: list[int] = []
        monkeypatch.setattr(module, "network_features", lambda graphs: asked.append(len(graphs)) or network_features(graphs))
        np.testing.assert_array_equal(encoding.transform(networks)[:2], first)
        assert asked == [1]
        assert len(module._KEPT) == before + 3
        networks.clear()
        gc.collect()
        assert len(module._KEPT) == before

    def test_rows_of_a_space_are_kept_up_to_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_ROWS", {})
        monkeypatch.setattr(module, "MOST_ROWS", 4)
        asked: list[int] = []
        monkeypatch.setattr(module, "network_features", lambda graphs: asked.append(len(graphs)) or network_features(graphs))
        cells = self.sample(5, seed=2)
        for chosen, missing, kept in ((cells[:3], 3, 3), (cells[1:3], 0, 3), (cells[2:5], 2, 2)):
            first = self.make().transform(chosen)
            assert (asked[-1], len(module._ROWS)) == (missing, kept)
            np.testing.assert_array_equal(first, network_features([SPACE.to_graph(a, "network") for a in chosen]))
