"""The chapter `docs/add_a_space.md` runs, prints what it says, and its space keeps the contract."""

import re
from pathlib import Path

import numpy as np
import pytest

from emprox.estimators import EmProx
from emprox.spaces import SPACES, get_space

CHAPTER = Path(__file__).resolve().parents[2] / "docs" / "add_a_space.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", CHAPTER.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def chapter():
    names: dict = {"__name__": "chapter"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SPACES, "_loaded", dict(SPACES._loaded))
        for code in blocks("python"):
            exec(compile(code, str(CHAPTER), "exec"), names)
        yield names


def test_the_chapter_prints_what_it_says(chapter, capsys) -> None:
    exec(blocks("python")[1], chapter)
    assert capsys.readouterr().out == blocks("text")[0]


def contract_tests() -> list[str]:
    from emprox.testing import SpaceContract

    return [name for name in dir(SpaceContract) if name.startswith("test_")]


@pytest.mark.parametrize("name", contract_tests())
def test_its_space_keeps_the_contract(chapter, name: str) -> None:
    test = getattr(chapter["TestSixStages"](), name)
    marks = getattr(test, "pytestmark", [])
    values = marks[0].args[1] if marks else [None]
    for value in values:
        test(value) if marks else test()


def test_the_estimator_works_for_it(chapter) -> None:
    space = chapter["get_space"]("six-stages")
    architectures = space.sample(np.random.default_rng(0), 12)
    accuracy = np.linspace(60, 80, 12)
    estimator = EmProx.paper(k=3, random_state=0).fit([f"{space.name}:{a}" for a in architectures], accuracy)
    np.testing.assert_allclose(estimator.predict(architectures), accuracy)


def test_an_installed_package_brings_its_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks("python")[0].replace("six-stages", "my-stages").partition("SPACES.register")[0]
    (tmp_path / "my_stages_package.py").write_text(code)
    folder = tmp_path / "my_stages_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-stages-package\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[emprox.spaces]\nmy-stages = my_stages_package:SixStages\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(SPACES, "_loaded", dict(SPACES._loaded))
    assert "my-stages" in SPACES
    assert str(get_space("my-stages").parse((0, 1) * 6)) == "(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1)"
