from pathlib import Path

import numpy as np
import pytest
import torch

from emprox.encoders import Encoder
from emprox.encoders import graph_network as module
from emprox.encoders.checkpoints import Checkpoint
from emprox.encoders.gnn import TERMS, GraphEncoder, as_graph
from emprox.encoders.graph_network import GraphNetwork, as_data, batches
from emprox.encodings.graph_arrays import GraphArrays
from emprox.errors import CorruptFileError, InvalidOptionError, MissingDependencyError
from emprox.spaces import Architecture, ComputationGraph, get_space
from emprox.spaces.primitives import NodeAttributes
from emprox.testing import EncoderContract, renumbered

SMALL = {"hidden_size": 8, "layers": 2, "embedding_size": 6, "epochs": 2, "batch_size": 8, "random_state": 0}


class TestGraphEncoder(EncoderContract):
    def make(self) -> Encoder:
        return GraphEncoder(**SMALL)


def mixed(n: int = 6) -> list[Architecture]:
    rng = np.random.default_rng(1)
    return [a for name in ("nasbench201", "nasbench101", "ofa-mobilenetv3") for a in get_space(name).sample(rng, n)]


@pytest.fixture(scope="module")
def network() -> GraphNetwork:
    torch.manual_seed(0)
    return GraphNetwork(16, 3, 8).eval()


def embedded(network: GraphNetwork, graphs: list[ComputationGraph]) -> np.ndarray:
    with torch.inference_mode():
        return np.concatenate([network(b).numpy() for b in batches([as_data(GraphArrays.from_graph(g)) for g in graphs])])


def test_numbering_of_the_nodes_does_not_matter(network: GraphNetwork) -> None:
    graphs = [as_graph(a) for a in mixed(2)]
    others = [renumbered(graph, np.random.default_rng(i)) for i, graph in enumerate(graphs)]
    np.testing.assert_allclose(embedded(network, others), embedded(network, graphs), atol=1e-4)


def test_direction_and_parallel_edges_matter(network: GraphNetwork) -> None:
    space = get_space("nasbench201")
    one, other = (as_graph(space.parse(ops)) for ops in ((2, 3, 1, 2, 1, 3), (3, 2, 1, 3, 1, 2)))
    once, twice = (as_graph(space.parse(ops)) for ops in ((2, 1, 1, 2, 1, 0), (2, 0, 1, 2, 0, 0)))
    rows = embedded(network, [one, other, once, twice])
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    assert np.abs(rows[2] - rows[3]).max() > 1e-3


def test_three_to_three_thousand_nodes(network: GraphNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    node = NodeAttributes(8, (4, 4), (3,), (1,), parameters=576, macs=9216)
    chains = [
        ComputationGraph(("input", *["conv"] * n, "output"), tuple((i, i + 1) for i in range(n + 1)), (node,) * (n + 2))
        for n in (1, 2998)
    ]
    rows = embedded(network, chains)
    assert np.isfinite(rows).all()
    assert module.bounded(64, [as_data(GraphArrays.from_graph(chain)) for chain in chains]) == 26
    monkeypatch.setattr(module, "NODES", 500)
    graphs = [as_data(GraphArrays.from_graph(as_graph(a))) for a in mixed()]
    sizes = [batch.num_nodes for batch in batches(graphs)]
    assert max(sizes) <= 500
    assert sum(sizes) == sum(graph.num_nodes for graph in graphs)


def test_what_is_told_can_be_read_from_the_embedding() -> None:
    """Cheap targets alone: a line through the embedding gives the parameters of networks not seen in training."""
    rng = np.random.default_rng(0)
    seen, unseen = get_space("nasbench201").sample(rng, 60), get_space("nasbench201").sample(rng, 30)
    encoder = GraphEncoder(terms="targets", epochs=15, learning_rate=3e-3, hidden_size=16, embedding_size=8, random_state=0)
    encoder.fit(seen)
    assert encoder.losses_[-1] < encoder.losses_[0]
    sizes = [np.log1p([as_graph(a).parameters for a in group]) for group in (seen, unseen)]
    inputs = [np.column_stack([encoder.transform(group), np.ones(len(group))]) for group in (seen, unseen)]
    line = np.linalg.lstsq(inputs[0], sizes[0], rcond=None)[0]
    assert np.corrcoef(inputs[1] @ line, sizes[1])[0, 1] > 0.9


def test_contrast_brings_a_graph_near_its_respelling() -> None:
    graphs = mixed(8)
    encoder = GraphEncoder(**SMALL | {"terms": "contrastive+augmentations", "epochs": 4}).fit(graphs)
    assert encoder.losses_[-1] < encoder.losses_[0]


@pytest.mark.parametrize("term", [term for term in TERMS if term not in ("spectral", "augmentations")])
def test_each_term_by_itself(term: str) -> None:
    encoder = GraphEncoder(**SMALL | {"terms": term, "epochs": 4}).fit(mixed())
    assert encoder.losses_[-1] < encoder.losses_[0]


def test_further_targets_may_be_missing() -> None:
    graphs = mixed()
    proxies = np.where(np.arange(len(graphs)) % 2, np.nan, np.arange(len(graphs)))
    encoder = GraphEncoder(**SMALL | {"terms": "targets"}).fit(graphs, proxies)
    assert np.isfinite(encoder.losses_).all()


def test_no_epochs_leave_random_weights() -> None:
    encoder = GraphEncoder(**SMALL | {"epochs": 0}).fit(mixed())
    assert encoder.losses_ == []
    assert encoder.transform(mixed()).std() > 0


class StoppedError(Exception):
    pass


def test_interrupted_training_ends_as_if_it_were_not(tmp_path: Path) -> None:
    def stop(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise StoppedError

    file, options = tmp_path / "state", SMALL | {"epochs": 4}
    whole = GraphEncoder(**options).fit(mixed())
    with pytest.raises(StoppedError):
        GraphEncoder(**options, checkpoint=file, progress=stop).fit(mixed())
    seen: list[int] = []
    resumed = GraphEncoder(**options, checkpoint=file, progress=lambda epoch, loss: seen.append(epoch)).fit(mixed())
    assert seen == [3, 4]
    assert resumed.losses_ == whole.losses_
    np.testing.assert_array_equal(resumed.transform(mixed()), whole.transform(mixed()))
    with pytest.raises(InvalidOptionError, match="another training"):
        GraphEncoder(**options | {"learning_rate": 0.5}, checkpoint=file).fit(mixed())
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match="remove it"):
        GraphEncoder(**options, checkpoint=file).fit(mixed())


def test_checkpoint_of_other_shapes_is_refused(tmp_path: Path) -> None:
    optimizers = []
    for size in (3, 4):
        linear = torch.nn.Linear(size, 1)
        optimizers.append((linear, torch.optim.Adam(linear.parameters())))
    Checkpoint(tmp_path / "state", {}).save(*optimizers[0], [1.0])
    with pytest.raises(CorruptFileError, match="no checkpoint of this training"):
        Checkpoint(tmp_path / "state", {}).restore(*optimizers[1])


def test_options() -> None:
    with pytest.raises(InvalidOptionError, match="did you mean 'spectral'"):
        GraphEncoder(terms="contrastive+spectra").fit(mixed())
    with pytest.raises(InvalidOptionError, match="add contrastive"):
        GraphEncoder(terms="augmentations+targets").fit(mixed())
    with pytest.raises(InvalidOptionError, match="layers"):
        GraphEncoder(layers=0).fit(mixed())


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_geometric.nn", None)
    with pytest.raises(MissingDependencyError, match=r"emprox\[gnn\]"):
        GraphNetwork(8, 1, 4)


def test_a_checkpoint_is_of_what_was_learned_from(tmp_path: Path) -> None:
    cells = get_space("nasbench201").sample(np.random.default_rng(0), 12)
    options = {"epochs": 1, "terms": "reconstruction", "random_state": 0, "checkpoint": tmp_path / "state"}
    GraphEncoder(**options).fit(cells[:6])
    with pytest.raises(InvalidOptionError, match="is of another training"):
        GraphEncoder(**options).fit(cells[6:])
