"""How good estimates are.

In: measured values and estimates. Out: error and rank-correlation metrics.
Next: a reader; the command line prints them.
"""

from emprox.report.metrics import METRICS, score

__all__ = ["METRICS", "score"]
