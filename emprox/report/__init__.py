"""How good estimates are, in numbers and to look at.

In: measured values and estimates, files of results, models. Out: metrics of error, ranking and intervals, which differences are
real, and a page or figures that show them.
Next: a reader.
"""

from emprox.report.costs import COSTS, training_cost
from emprox.report.differences import Difference, paired_difference
from emprox.report.metrics import INTERVAL_METRICS, METRICS, score, score_interval
from emprox.report.scorers import kendall_scorer, spearman_scorer
from emprox.report.writing import write_report

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
    "write_report",
]
