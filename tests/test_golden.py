import json

import pytest

from tests.reference.make import PATH, compute


@pytest.fixture(scope="module")
def computed() -> dict[str, list]:
    return compute()


@pytest.mark.parametrize("name", json.loads(PATH.read_text()))
def test_values_are_as_recorded(computed: dict[str, list], name: str) -> None:
    recorded = json.loads(PATH.read_text())[name]
    if name == "hashes":
        assert computed[name] == recorded
    else:
        assert computed[name] == pytest.approx(recorded, abs=2e-3)


def test_everything_computed_is_recorded(computed: dict[str, list]) -> None:
    assert set(computed) == set(json.loads(PATH.read_text()))
