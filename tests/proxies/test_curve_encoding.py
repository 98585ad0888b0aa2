"""Learning curves as columns."""

import json

import numpy as np
import pytest

from emprox.encodings import Encoding, get_encoding
from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.proxies import KnownProxies
from emprox.proxies.curves import CurveEncoding
from emprox.spaces import get_space
from emprox.tables import load_table
from emprox.testing import EncodingContract

SPACE = get_space("nasbench201")


class TestCurveEncoding(EncodingContract):
    """With invented values of all cells."""

    def make(self) -> Encoding:
        values = np.random.default_rng(0).normal(size=(SPACE.size, 3))
        return CurveEncoding(SPACE, KnownProxies("nasbench201", tuple(SPACE), {}, {"val_loss": values, "train_loss": -values}), 2)


class TestColumns:
    def test_are_the_curves_up_to_the_epoch(self) -> None:
        table = load_table("bundled")
        encoding = get_encoding("onehot+curves@2", SPACE, table)
        names = ("train_loss@1", "train_loss@2", "val_accuracy@1", "val_accuracy@2")
        assert encoding.names[-4:] == names
        assert encoding.training_epochs == 2
        columns = encoding.transform(table.architectures[:5])[:, -4:]
        expected = [table.curves["train_loss"][:5, :2], table.curves["val_accuracy"][:5, :2]]
        np.testing.assert_array_equal(columns, np.concatenate(expected, axis=1))
        assert get_encoding("curves", SPACE, table).training_epochs == 10

    def test_test_data_are_no_feature(self) -> None:
        known = KnownProxies("nasbench201", tuple(SPACE)[:1], {}, {"test_loss": [[1.0]], "val_loss": [[2.0]]})
        assert CurveEncoding(SPACE, known).names == ("val_loss@1",)

    def test_checks(self) -> None:
        cells = tuple(SPACE)[:2]
        known = KnownProxies("nasbench201", cells, {}, {"val_loss": [[1.0, 2.0], [3.0, np.nan]]})
        encoding = CurveEncoding(SPACE, known)
        assert encoding.known_architectures == cells[:1]
        assert CurveEncoding(SPACE, known, 1).known_architectures == cells
        with pytest.raises(InvalidDataError, match="is not known of 1 of 2"):
            encoding.transform(cells)
        with pytest.raises(InvalidOptionError, match="has 2 epochs, 5 were asked for"):
            get_encoding("curves@5", SPACE, known).transform(cells)
        with pytest.raises(InvalidDataError, match="no learning curve is known"):
            get_encoding("curves", SPACE)
        with pytest.raises(InvalidOptionError, match="expected curves@epoch"):
            get_encoding("curves@0", SPACE, known)
        with pytest.raises(InvalidOptionError, match="'onehot' takes no epoch"):
            get_encoding("onehot@3", SPACE)


class TestKnown:
    def test_json_and_back(self) -> None:
        known = KnownProxies("nasbench201", tuple(SPACE)[:2], {"zen": [1.0, 2.0]}, {"val_loss": [[1.0, 2.0], [3.0, np.nan]]})
        again = KnownProxies.from_json(json.loads(json.dumps(known.to_json(), allow_nan=False)))
        np.testing.assert_array_equal(again.curves["val_loss"], known.curves["val_loss"])

    def test_shapes_are_checked(self) -> None:
        for values in ([1.0, 2.0], [[1.0]], [[1.0], [np.inf]]):
            with pytest.raises(InvalidDataError, match=r"of shape \(2, epochs\)"):
                KnownProxies("nasbench201", tuple(SPACE)[:2], {}, {"val_loss": np.array(values)})
