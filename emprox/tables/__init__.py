"""Known performance, with honest splits.

In: the name of a table, or a file of one's own results. Out: `PerformanceTable`, architectures and their measured targets.
Next: `emprox.estimators` learn from its training rows; `emprox.benchmark` scores them on its test rows.
"""

from emprox.tables.base import PerformanceTable
from emprox.tables.catalog import TABLES, load_table
from emprox.tables.formats import read_csv

__all__ = ["TABLES", "PerformanceTable", "load_table", "read_csv"]
