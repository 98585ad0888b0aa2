"""How good estimates are.

In: measured values and estimates, results of searches. Out: metrics of error, ranking and intervals, which differences are
real, plots.
Next: a reader; the command line prints them.
"""

from emprox.report.costs import COSTS, training_cost
from emprox.report.differences import Difference, paired_difference
from emprox.report.metrics import INTERVAL_METRICS, METRICS, score, score_interval
from emprox.report.scorers import kendall_scorer, spearman_scorer

__all__ = [
    "COSTS",
    "INTERVAL_METRICS",
    "METRICS",
    "Difference",
    "kendall_scorer",
    "paired_difference",
    "score",
    "score_interval",
    "spearman_scorer",
    "training_cost",
]
