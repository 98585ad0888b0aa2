"""The architecture of the package: who may import whom, and what an import costs."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import emprox

ROOT = Path(emprox.__file__).parent
STAGES = ["spaces", "encodings", "encoders", "tables", "index", "proxies", "estimators", "search", "report", "integrations"]
GROUND = {"errors", "registry", "validation", "_optional", "parallel", "_workers", "persistence"}
HEAVY = {"torch", "sklearn", "faiss", "pandas", "scipy", "xgboost", "joblib", "typer", "rich", "matplotlib"}
HEAVY |= {"torch_geometric", "plotly", "dask", "distributed", "ray", "naslib", "optuna", "deap", "networkx", "pyarrow"}


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def imported(path: Path) -> set[str]:
    """Return the parts of emprox that a file imports when it is itself imported."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("emprox"):
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("emprox.")}
    return names


@pytest.mark.parametrize("stage", [name for name in STAGES if (ROOT / name).is_dir()])
def test_stages_import_from_their_left_only(stage: str) -> None:
    allowed = {*STAGES[: STAGES.index(stage) + 1], *GROUND}
    for path in (ROOT / stage).rglob("*.py"):
        assert imported(path) <= allowed, f"{path.relative_to(ROOT)} imports {sorted(imported(path) - allowed)}"


def test_the_ground_floor_stands_on_itself() -> None:
    for name in GROUND:
        assert imported(ROOT / f"{name}.py") <= GROUND


def test_every_package_says_what_goes_in_and_out() -> None:
    for folder in (ROOT / stage for stage in STAGES if (ROOT / stage).is_dir()):
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        assert all(word in docstring for word in ("In: ", "Out: ", "Next: ")), folder.name


def test_every_public_module_declares_its_names() -> None:
    for path in ROOT.rglob("*.py"):
        if not path.name.startswith("_"):
            assert "__all__" in path.read_text(), path


def test_import_is_silent_and_light() -> None:
    output = run("import emprox, sys, json; print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))")
    assert len(output.splitlines()) == 1
    assert not HEAVY & set(json.loads(output))


def test_spaces_and_encodings_need_numpy_alone() -> None:
    output = run("import emprox.encodings, sys, json; print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))")
    assert not HEAVY & set(json.loads(output))


def test_the_plug_for_naslib_imports_nothing_of_it() -> None:
    code = (
        "import emprox.integrations.naslib, emprox.integrations.naslib_estimator, sys, json; print(json.dumps(list(sys.modules)))"
    )
    assert not {name for name in json.loads(run(code)) if name.partition(".")[0] == "naslib"}


def test_every_name_at_the_top_is_there() -> None:
    assert set(emprox.__all__) == set(emprox._HOMES)
    assert len(emprox.__all__) <= 14
    for name in emprox.__all__:
        assert getattr(emprox, name).__name__ == name
        assert name in dir(emprox)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        emprox.nothing  # noqa: B018


def test_names_at_the_top_are_used_in_the_readme() -> None:
    readme = (ROOT.parent / "README.md").read_text()
    assert [name for name in emprox.__all__ if name not in readme] == []


def test_optional_packages_have_one_message() -> None:
    from emprox._optional import import_optional
    from emprox.errors import MissingDependencyError

    with pytest.raises(MissingDependencyError, match=r"pip install 'emprox\[xgboost\]'"):
        import_optional("no_such_package", "xgboost")
