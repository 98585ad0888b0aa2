"""The page of benchmarks is what the results say."""

from pathlib import Path

import pytest

from tests.benchmarks.loading import load_script

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    script = load_script("chapter")
    assert script.PAGE.read_text() == script.render(ROOT / "benchmarks" / "results"), "run python benchmarks/chapter.py"


def test_pictures_come_from_results_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("pictures")
    speed = script.chart(script.RESULTS / "franken2022_nb201_cifar10" / "nasbench201.json", "speed")
    assert max(len(series.name) for series in speed.panels[0].series) < 60
    proxies = script.proxies().panels[0].series[0]
    assert all(-1 <= value <= 1 for value in proxies.x)
    assert len(proxies.x) > 10
