"""ImageNet results of timm: the real file, what tags mean, and files that are something else."""

import json
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from torch import nn

from emprox import EmProx, load_table
from emprox.errors import CorruptFileError, InvalidOptionError, MissingDependencyError, StorageError, UnknownNameError
from emprox.spaces import ComputationGraph, NodeAttributes, get_family
from emprox.tables.files import find_file
from emprox.tables.timm import WeightSet, choose, read_timm, read_timm_imagenet
from emprox.tables.timm_graphs import FOLDER, TracedNetwork, keep

HEADER = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation\n"


@pytest.fixture(scope="module")
def real(tables_root):
    return read_timm(find_file("results-imagenet.csv", tables_root))


def tagged(tag, name="net"):
    return WeightSet(name, tag, 224, 80.0, 5.0)


@pytest.mark.parametrize(
    ("tag", "recipe", "data", "taught"),
    [
        ("in1k", "", (), False),
        ("a1h_in1k", "a1h", (), False),
        ("augreg_in21k_ft_in1k", "augreg", ("in21k",), False),
        ("fcmae_ft_in22k_in1k_384", "fcmae", ("in22k",), False),
        ("fb_dist_in1k", "fb_dist", (), True),
        ("ns_jft_in1k", "ns", ("jft",), False),
        ("ra4_e3600_r224_in1k", "ra4_e3600", (), False),
        ("laion2b_ft_in12k_in1k", "", ("laion2b", "in12k"), False),
        ("mae_in1k_ft_in1k", "mae", (), False),
    ],
)
def test_tags(tag, recipe, data, taught):
    row = tagged(tag)
    assert (row.recipe, row.further_data, row.taught) == (recipe, data, taught)


def test_names_tell_of_teachers():
    assert tagged("fb_in1k", "deit_tiny_distilled_patch16_224").taught


def test_facts_of_the_real_file(real):
    assert (len(real), len({row.architecture for row in real})) == (1556, 900)
    assert (len(choose(real, max_img_size=300)), max(row.val_accuracy for row in real)) == (1257, 90.056)
    small = choose(real, max_img_size=300, pretrain="in1k-only")
    assert {word for row in small for word in row.tag.split("_")}.isdisjoint({"in21k", "in22k", "in12k", "jft", "dist", "ssld"})
    recipes = Counter(row.recipe for row in real)
    assert (recipes["ra2"], recipes["a1h"]) == (71, 22)
    assert {row.recipe for row in choose(real, recipe="a1h")} == {"a1h"}


def test_several_weight_sets_of_one_architecture_stay(real):
    assert len({row.tag for row in real if row.architecture == "resnet50"}) > 10


def test_pretrain_has_one_value():
    with pytest.raises(InvalidOptionError, match="in1k-only"):
        choose([], pretrain="in21k")


@pytest.mark.parametrize(
    "text", ["", HEADER, "a,b\n1,2\n", HEADER + "net.in1k,224,180,1,1,1,5,1,x\n", HEADER + "net.in1k,big,80,1,1,1,5,1,x\n"]
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(CorruptFileError, match=r"results\.csv"):
        read_timm(path)


def test_missing_files(tmp_path):
    with pytest.raises(StorageError, match="cannot read"):
        read_timm(tmp_path / "none.csv")


def row(name, size=224, top1=80.0):
    return f"{name},{size},{top1},{100 - top1},95.0,5.0,5.10,0.95,bicubic\n"


class TestTable:
    """The joined table, from a small file and graphs that stand for traced ones."""

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "results-imagenet.csv"
        path.write_text(
            HEADER
            + row("slim.a1_in1k", 224, 70.0)
            + row("slim.a2_in1k", 224, 72.0)
            + row("slim.a1_in1k", 288, 73.0)
            + row("former.augreg_in21k_ft_in1k", 224, 81.0)
            + row("wide.in1k", 224, 75.0)
            + row("lost.in1k", 224, 75.0)
        )
        traced = {
            ("slim", 224): TracedNetwork("plain", network(8, 224)),
            ("slim", 288): TracedNetwork("plain", network(8, 288)),
            ("former", 224): TracedNetwork("attention", network(8, 224, "matmul")),
            ("wide", 224): TracedNetwork("plain", network(16, 224)),
            ("lost", 224): TracedNetwork("odd", None, "TypeError: odd"),
        }
        keep(traced, tmp_path / FOLDER)
        return path

    def test_a_row_is_a_graph_with_the_mean_of_its_weight_sets(self, path):
        table = read_timm_imagenet(path)
        assert table.columns["name"].tolist() == ["slim", "slim", "former", "wide"]
        assert table.columns["img_size"].tolist() == [224, 288, 224, 224]
        assert table.targets["val_accuracy"].tolist() == [71.0, 73.0, 81.0, 75.0]
        assert table.counts["val_accuracy"].tolist() == [2, 1, 1, 1]
        assert table.spreads["val_accuracy"].tolist() == pytest.approx([2**0.5] * 4)
        assert table.population("cnn").columns["name"].tolist() == ["slim", "slim", "wide"]
        assert [get_family("network").label(a) for a in table.architectures[:2]] == ["slim@224", "slim@288"]
        assert table.info()["space_size"] is None

    def test_options(self, path):
        assert read_timm_imagenet(path, recipe="a1").columns["img_size"].tolist() == [224, 288]
        assert read_timm_imagenet(path, pretrain="in1k-only", max_img_size=224).columns["name"].tolist() == ["slim", "wide"]
        with pytest.raises(InvalidOptionError, match=r"no weight set of results-imagenet\.csv has recipe='b9'"):
            read_timm_imagenet(path, recipe="b9")

    def test_by_name(self, path, monkeypatch):
        monkeypatch.setattr("emprox.tables.catalog.find_file", lambda file, root: path)
        name = "timm-imagenet:pretrain=in1k-only,max_img_size=224"
        table = load_table(name)
        assert (table.name, len(table)) == (name, 2)
        assert len(load_table("timm-imagenet")) == 4
        assert (
            len(
                EmProx()
                .fit(table.architectures, table.targets["val_accuracy"])
                .predict(load_table("timm-imagenet").architectures)
            )
            == 4
        )
        with pytest.raises(InvalidOptionError, match="no option 'size'"):
            load_table("timm-imagenet:size=3")
        with pytest.raises(InvalidOptionError, match="table bundled has no option 'size'"):
            load_table("bundled:size=3")
        with pytest.raises(UnknownNameError, match="no variant 'cifar'"):
            load_table("timm-imagenet:cifar")

    def test_damaged_graphs(self, path):
        graphs = path.parent / FOLDER / "graphs.npz"
        graphs.write_bytes(graphs.read_bytes()[:-10])
        with pytest.raises(CorruptFileError, match="damaged"):
            read_timm_imagenet(path)

    def test_fewer_graphs_than_networks(self, path):
        keep({("slim", 224): TracedNetwork("plain", network(8, 224))}, path.parent / FOLDER)
        manifest = path.parent / FOLDER / "manifest.json"
        content = json.loads(manifest.read_text())
        content["networks"].append(["slim", 288, "plain", ""])
        manifest.write_text(json.dumps(content))
        with pytest.raises(CorruptFileError, match="does not hold the networks it lists"):
            read_timm_imagenet(path)

    def test_without_timm(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        path.write_text(path.read_text() + row("newer.in1k"))
        with pytest.raises(MissingDependencyError, match=r"'timm'.*pip install 'emprox\[timm\]'"):
            read_timm_imagenet(path)

    def test_what_is_missing_is_traced_once(self, path, monkeypatch):
        made = []

        class Timm:
            @staticmethod
            def model_entrypoint(name):
                return Timm.create_model

            @staticmethod
            def get_pretrained_cfg(name, allow_unregistered):
                return SimpleNamespace(input_size=(3, 32, 32))

            @staticmethod
            def create_model(name, **options):
                made.append((name, options))
                if name == "rigid" and options:
                    raise TypeError("img_size")
                if name == "broken":
                    raise ValueError("cannot be made")
                return nn.Conv2d(3, 4, 3)

        monkeypatch.setitem(sys.modules, "timm", Timm)
        monkeypatch.setenv("EMPROX_TABLES", str(path.parent))
        path.write_text(path.read_text() + row("rigid.in1k", 64) + row("broken.in1k", 32))
        with pytest.warns(UserWarning, match="tracing 2 networks of timm"):
            table = read_timm_imagenet(path)
        assert made == [("broken", {}), ("rigid", {"img_size": 64}), ("rigid", {})]
        assert table.columns["name"].tolist()[-1] == "rigid"
        assert table.columns["family"].tolist()[-1] == "test_timm"
        assert read_timm_imagenet(path).architectures == table.architectures
        assert len(made) == 3


def network(width, size, last="conv"):
    kinds = ("input", *["conv"] * 5, last, "output")
    node = NodeAttributes(channels=width, size=(size, size), kernel=(3, 3), parameters=9 * width, macs=size * size * width)
    return ComputationGraph(kinds, tuple((i, i + 1) for i in range(len(kinds) - 1)), (node,) * len(kinds))
