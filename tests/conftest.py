"""Fixtures that every test may use."""

from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tables_root() -> Path:
    """Folder of real benchmark tables."""
    folder = REPOSITORY.parent / "shared" / "tables"
    if not folder.is_dir():
        pytest.skip(f"the real benchmark tables are not at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
