"""Results of several files: joined where they belong together, refused where they contradict each other."""

import json
from pathlib import Path
from typing import Any

import pytest

from emprox.errors import InvalidDataError
from emprox.report.charts import Table
from emprox.report.writing import build_report
from tests.report import samples


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.bench(tmp_path_factory.mktemp("runs"))


def changed(run: Path, folder: Path, **values: Any) -> Path:
    path = folder / "changed.json"
    path.write_text(json.dumps(json.loads(run.read_text()) | values))
    return path


def test_a_file_given_twice_is_taken_once(run: Path, tmp_path: Path) -> None:
    once, twice = build_report([run]), build_report([run, run.parent / ".." / run.parent.name / run.name])
    assert (twice.summary, len(twice.sources)) == (once.summary, 1)
    tables = [item for s in build_report([run, changed(run, tmp_path)]).sections for item in s.items if isinstance(item, Table)]
    assert [len(table.rows) for table in tables] == [4]


def test_files_that_contradict_each_other_are_refused(run: Path, tmp_path: Path) -> None:
    results = json.loads(run.read_text())["results"]
    other = changed(run, tmp_path, results=[result | {"kendall": result["kendall"] / 2} for result in results])
    with pytest.raises(InvalidDataError, match=r"results.json and .*changed.json hold different results of knn with 20 labels"):
        build_report([run, other])


def test_predictions_are_beside_the_rows_that_they_are_of(run: Path, tmp_path: Path) -> None:
    content = json.loads(run.read_text())
    results = [result | {"estimator": f"{result['estimator']}:other"} for result in content["results"]]
    tested = {name: values[::-1] for name, values in content["tested"].items()}
    with pytest.raises(InvalidDataError, match="tested other rows of bundled"):
        build_report([run, changed(run, tmp_path, results=results, tested=tested)])
    assert len(build_report([run, changed(run, tmp_path, results=results)]).charts) > 0
