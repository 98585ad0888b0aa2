import networkx
import numpy as np
import pytest
import torch

from emprox.encoders.contrastive import DENSE, EIGENVALUES, TEMPERATURE, contrastive_loss, positives, spectrum
from emprox.encodings.graph_arrays import ATTRIBUTES, GraphArrays


def arrays(n: int, edges: list[tuple[int, int]]) -> GraphArrays:
    kinds = np.full(n, 4)
    return GraphArrays(kinds, np.zeros((n, len(ATTRIBUTES)), np.float32), np.array(edges).T.reshape(2, -1))


def random_graph(n: int, seed: int) -> GraphArrays:
    rng = np.random.default_rng(seed)
    chain = [(i, i + 1) for i in range(n - 1)]
    skips = [tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(n // 2)]
    return arrays(n, [*chain, *skips, chain[0]])  # with a parallel edge


@pytest.mark.parametrize("n", [12, 40, DENSE + 5])
def test_spectrum_is_that_of_networkx(n: int) -> None:
    graph = random_graph(n, n)
    nx = networkx.Graph(list(map(tuple, graph.edges.T.tolist())))
    laplacian = networkx.normalized_laplacian_matrix(nx, nodelist=range(n)).toarray()
    expected = np.linalg.eigvalsh(laplacian)[:EIGENVALUES]
    np.testing.assert_allclose(spectrum(graph), expected, atol=1e-5)


def test_spectrum_of_few_nodes_and_without_edges() -> None:
    np.testing.assert_allclose(spectrum(arrays(2, [(0, 1)])), [0, *[2] * 10], atol=1e-6)
    np.testing.assert_allclose(spectrum(arrays(3, [])), [0, 0, 0, *[2] * 8], atol=1e-6)


def test_positives_are_of_the_family_and_nearest_in_spectrum() -> None:
    spectra = torch.tensor([[0.0], [0.01], [0.5], [0.0], [3.0]])
    families = torch.tensor([0, 0, 0, 1, 2])
    weights = positives(spectra, families)
    expected = np.exp([-0.01 / TEMPERATURE, -0.5 / TEMPERATURE])
    np.testing.assert_allclose(weights[0, 1:3], expected / expected.sum(), rtol=1e-5)
    assert weights[0, 0] == weights[0, 3] == weights[0, 4] == 0
    assert (weights[3] == 0).all()  # alone in its family
    uniform = positives(spectra, families, spectral=False)
    np.testing.assert_allclose(uniform[0], [0, 0.5, 0.5, 0, 0])


def test_loss_is_the_weighted_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    embeddings, others = (torch.from_numpy(rng.normal(size=(4, 3))).float() for _ in range(2))
    weights = positives(torch.from_numpy(rng.normal(size=(4, 2))).float(), torch.tensor([0, 0, 1, 1]))
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    by_hand = 0.0
    for i in range(4):
        negatives = [j for j in range(4) if j != i]
        logits = torch.stack([unit[i] @ unit[j] for j in negatives]) / TEMPERATURE
        logs = logits - torch.logsumexp(logits, 0)
        by_hand -= sum(float(weights[i, j] * logs[position]) for position, j in enumerate(negatives)) / 4
    assert float(contrastive_loss(embeddings, weights)) == pytest.approx(by_hand, rel=1e-5)
    aligned = contrastive_loss(embeddings, weights, embeddings)
    assert float(aligned) < float(contrastive_loss(embeddings, weights, others))
    assert float(contrastive_loss(embeddings * 7, weights, embeddings * 2)) == pytest.approx(float(aligned), rel=1e-5)
