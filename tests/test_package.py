"""The wheel and the source distribution: they build, and the wheel works in a fresh environment."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
pytestmark = pytest.mark.xdist_group("package")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Built from a copy: setuptools makes and removes folders in the tree it builds, which other tests read meanwhile."""
    source, output = tmp_path_factory.mktemp("source") / "emprox", tmp_path_factory.mktemp("dist")
    shutil.copytree(REPOSITORY, source, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "site"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {"wheel": next(output.glob("*.whl")), "sdist": next(output.glob("*.tar.gz"))}


def test_wheel_holds_the_package_and_its_data_and_nothing_else(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built["wheel"]).namelist()
    assert {"emprox/py.typed", "emprox/tables/catalog.json", "emprox/tables/bundled/nasbench201_digits.csv"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"emprox", next(n for n in names if n.endswith("METADATA")).split("/")[0]}
    assert not [name for name in names if "__pycache__" in name]
    assert sum(info.file_size for info in zipfile.ZipFile(built["wheel"]).infolist()) < 3_000_000


def test_sdist_holds_what_a_packager_needs(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "emprox/tables/catalog.json"} <= names


def test_metadata(built: dict[str, Path]) -> None:
    archive = zipfile.ZipFile(built["wheel"])
    metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
    assert re.search(r"^License(-Expression)?: Apache-2.0$", metadata, re.MULTILINE)
    assert "Requires-Python: >=3.10" in metadata
    assert "xgboost" not in "".join(
        line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line
    )


def test_wheel_works_in_a_fresh_environment(built: dict[str, Path], tmp_path: Path) -> None:
    """Dependencies come from this environment through a path file; the package itself only from the wheel."""
    fresh = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    python = fresh / "bin" / "python"
    site = next((fresh / "lib").glob("python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(built["wheel"])], check=True
    )
    (site / "dependencies.pth").write_text(os.path.dirname(os.path.dirname(pytest.__file__)) + "\n")
    code = "import emprox; t = emprox.load_table('bundled'); print(emprox.__file__); print(len(t))"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    where, size = result.stdout.splitlines()
    assert Path(where).is_relative_to(fresh)
    assert int(size) >= 300
