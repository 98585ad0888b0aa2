import numpy as np
from sklearn.linear_model import LinearRegression

from emprox.report import METRICS, kendall_scorer, spearman_scorer


def test_scorers_are_the_metrics() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = x[:, 0] + np.random.default_rng(1).normal(size=30)
    model = LinearRegression().fit(x, y)
    for scorer, name in ((kendall_scorer, "kendall"), (spearman_scorer, "spearman")):
        assert scorer(model, x, y) == METRICS[name](y, model.predict(x))
        assert scorer(model, x, np.zeros(30)) == 0
