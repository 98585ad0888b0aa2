"""Known performance, with honest splits.

In: the name of a table, or a file of one's own results. Out: `PerformanceTable`, architectures and their measured targets.
Next: `emprox.estimators` learn from its training rows; `emprox.benchmark` scores them on its test rows.
"""

from emprox.tables.base import PerformanceTable
from emprox.tables.catalog import TABLES, load_table
from emprox.tables.formats import read_csv
from emprox.tables.measures import Measure
from emprox.tables.naslib import read_naslib
from emprox.tables.nats import read_nats_bench
from emprox.tables.runs import table_of_runs
from emprox.tables.storage import read_table, write_table
from emprox.tables.unlabelled import load_architectures

__all__ = [
    "TABLES",
    "Measure",
    "PerformanceTable",
    "load_architectures",
    "load_table",
    "read_csv",
    "read_naslib",
    "read_nats_bench",
    "read_table",
    "table_of_runs",
    "write_table",
]
