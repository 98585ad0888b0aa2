"""Rank correlations as scikit-learn scorers, for cross-validation and model selection."""

from __future__ import annotations

from sklearn.metrics import make_scorer

from emprox.report.metrics import kendall, spearman

__all__ = ["kendall_scorer", "spearman_scorer"]

kendall_scorer = make_scorer(kendall)
"""Kendall's tau-b between measured and estimated values; pass it as ``scoring=``."""
spearman_scorer = make_scorer(spearman)
"""Spearman's rank correlation between measured and estimated values; pass it as ``scoring=``."""
