from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tables_root() -> Path:
    root = Path(__file__).resolve().parents[2] / "shared" / "tables"
    if not root.is_dir():
        pytest.skip(f"the benchmark files are not in {root}")
    return root
