from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import served


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[served.Site]:
    with served.site(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the pauses between attempts, which are not waited for."""
    asked: list[float] = []
    monkeypatch.setattr("emprox.tables.download.time.sleep", asked.append)
    return asked
