"""Estimates for networks in any form: modules, ONNX files, graphs, cells of search spaces."""

import numpy as np
import pytest
import torch
from torch import nn

from emprox import EmProx, get_space, load
from emprox.encoders import MetricEncoder, MLKREncoder
from emprox.errors import InvalidArchitectureError, InvalidDataError, InvalidOptionError
from emprox.estimators import make_estimator
from emprox.spaces import ComputationGraph, NodeAttributes
from emprox.spaces.anything import Networks

SPACE = get_space("nasbench201")
CELLS = SPACE.sample(np.random.default_rng(0), 14)
NETWORKS = Networks(input_shape=(3, 32, 32))


def net(width: int, depth: int) -> nn.Module:
    body = [layer for _ in range(depth) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())]
    return nn.Sequential(nn.Conv2d(3, width, 3), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def chain(nodes: int) -> ComputationGraph:
    """Return a residual network of so many nodes."""
    kinds = ["input", *[("conv", "norm", "activation")[i % 3] for i in range(nodes - 2)], "output"]
    node = NodeAttributes(channels=8, size=(4, 4), kernel=(3, 3), stride=(1, 1), parameters=576, macs=9216)
    edges = {(i, i + 1) for i in range(nodes - 1)} | {(i, i + 3) for i in range(0, nodes - 3, 3)}
    return ComputationGraph(tuple(kinds), tuple(sorted(edges)), (node,) * nodes)


@pytest.fixture(scope="module")
def known():
    modules = [net(width, depth) for width in (8, 16, 32) for depth in (1, 3)]
    graph = SPACE.to_graph(CELLS[0], "network")
    return [*modules, (net(64, 2), torch.zeros(1, 3, 32, 32)), graph, *[f"nasbench201:{cell}" for cell in CELLS[1:12]], CELLS[12]]


@pytest.fixture(scope="module")
def fitted(known):
    return EmProx(space=NETWORKS).fit(known, np.linspace(60, 95, len(known)))


class TestEmProx:
    def test_a_cell_and_its_traced_network_are_estimated_alike(self, fitted):
        asked = CELLS[9:14]
        as_text = fitted.predict([f"nasbench201:{cell}" for cell in asked])
        as_module = fitted.predict([SPACE.to_module(cell) for cell in asked])
        as_graph = fitted.predict([SPACE.to_graph(cell, "network") for cell in asked])
        np.testing.assert_allclose(as_module, as_text, rtol=1e-5)
        np.testing.assert_allclose(as_graph, as_text, rtol=1e-5)
        np.testing.assert_allclose(fitted.predict(asked), as_text, rtol=1e-5)
        assert np.ptp(as_text) > 0

    def test_what_is_saved_answers_the_same_and_needs_no_module(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        again = load(tmp_path / "model")
        asked = [net(24, 2), CELLS[13]]
        np.testing.assert_array_equal(again.predict(asked), fitted.predict(asked))
        assert again.space_.setting == "network:input_shape=3x32x32"
        assert again.architectures_ == fitted.architectures_
        np.testing.assert_allclose(again.refit().predict(asked), fitted.predict(asked), rtol=1e-4)

    def test_explanations_call_networks_by_name(self, fitted):
        explanation = fitted.explain(net(24, 2), n_shown=20)
        names = {row["architecture"] for row in explanation["neighbors"]}
        assert explanation["architecture"] == "Sequential"
        assert f"nasbench201:{CELLS[1]}" in names
        assert explanation["neighbors"][0]["differs"][0]["column"] in fitted.encoder_.names

    def test_the_family_is_told_from_what_is_given(self, known):
        graphs = [NETWORKS.network(NETWORKS.read(description)) for description in known]
        told = EmProx().fit([graphs[0], *[f"nasbench201:{cell}" for cell in CELLS[:3]]], [60, 90, 91, 92])
        assert told.space_.name == "network"
        assert EmProx().fit(CELLS[:3], [90, 91, 92]).space_.name == "nasbench201"

    def test_incremental_learning(self, known):
        model = EmProx(space=NETWORKS).fit(known[:10], np.arange(10))
        model.partial_fit(known[10:], np.arange(10, len(known)))
        assert len(model.architectures_) == len(known)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_known(self, known, n):
        estimates, std = EmProx(space=NETWORKS).fit(known[:n], np.arange(n) + 80.0).predict(known, return_std=True)
        assert np.isfinite(estimates).all()
        assert np.isfinite(std).all()

    @pytest.mark.parametrize("nodes", [10, 5000])
    def test_small_and_large_graphs(self, fitted, nodes):
        assert np.isfinite(fitted.predict([chain(nodes)])).all()
        assert len(EmProx().fit([chain(nodes), chain(12)], [70, 80]).predict([chain(11)])) == 1

    @pytest.mark.parametrize("encoder", [MLKREncoder(), MetricEncoder(features=("network",))])
    def test_other_encoders(self, known, encoder):
        model = EmProx(space=NETWORKS, encoder=encoder).fit(known, np.arange(len(known)))
        assert np.isfinite(model.predict(known)).all()

    def test_a_module_is_not_a_list_of_its_layers(self, fitted):
        with pytest.raises(InvalidDataError, match=r"got one Sequential, Sequential\(; wrap it in a list"):
            fitted.predict(net(8, 1))

    def test_errors_say_which_one(self, fitted):
        with pytest.raises(InvalidArchitectureError, match=r"architecture 1: cannot import nowhere:net"):
            fitted.predict([CELLS[0], "nowhere:net"])


class TestOthers:
    @pytest.mark.parametrize("spec", ["xgboost", "forest", "gp", "knn", "ridge"])
    def test_regressors_over_the_encoding_of_networks(self, known, spec):
        model = make_estimator(f"{spec}:encoding=network", space=NETWORKS, random_state=0)
        y = np.linspace(60, 95, len(known))
        estimates = model.fit(known, y).predict(known)
        assert np.corrcoef(estimates, y)[0, 1] > 0.5

    @pytest.mark.parametrize("spec", ["params", "macs"])
    def test_one_number(self, known, spec):
        assert np.ptp(make_estimator(spec, space=NETWORKS).fit(known, np.arange(len(known))).predict(known)) > 0

    @pytest.mark.parametrize("spec", ["seminas", "nao", "emprox-paper", "bananas", "mlp", "size", "zerocost", "xgboost"])
    def test_what_needs_a_search_space_says_so(self, known, spec):
        with pytest.raises(InvalidOptionError, match=r"network is an open family .* Use the encoding 'network'"):
            make_estimator(spec, space=NETWORKS).fit(known, np.arange(len(known)))
