"""What the command line prints: JSON, and tables of rows."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["as_json_text", "number_text", "print_rows", "print_table"]

out = Console(highlight=False, soft_wrap=True)


def as_json_text(value: Any) -> str:
    """Return strict JSON; a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number_text(value: Any) -> str:
    """Return four digits of a number, and what is none as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else "unknown"


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print rows of the same columns, at least one."""
    table = Table(box=None, pad_edge=False)
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, float) else "left", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(number_text(value) for value in row.values()))
    print_table(table)


def print_table(table: Table) -> None:
    """Print a table whole: a terminal narrower than it wraps its lines, and a file or pipe has no width."""
    Console(highlight=False, width=max(out.width, 250)).print(table, soft_wrap=True, crop=False)
