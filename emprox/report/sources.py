"""How a report writes on which machine something was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RESULT", "machine_words"]

RESULT = "result.json"
"""What `emprox search` writes into its folder."""


def machine_words(machine: Mapping[str, Any]) -> str:
    """Return processor, cores and versions of what `emprox.benchmark.machine` returns.

    >>> machine_words({"processor": "Xeon", "cores": 2, "python": "3.11.7", "packages": {"torch": "2.13.0"}})
    'Xeon, 2 cores, Python 3.11.7, torch 2.13.0'
    """
    if not machine:
        return "unknown"
    packages = [f"{name} {version}" for name, version in machine.get("packages", {}).items()]
    return ", ".join(
        [str(machine.get("processor")), f"{machine.get('cores')} cores", f"Python {machine.get('python')}", *packages]
    )
