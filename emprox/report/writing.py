"""From files of results and folders of models to a report, in HTML or as figures for a paper."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from emprox.errors import EmproxError, InvalidDataError, InvalidOptionError, StorageError
from emprox.persistence import MANIFEST, write_file
from emprox.report.charts import Report, Section, Source
from emprox.report.numbers import listed, slug, told_apart
from emprox.report.sources import RESULT

__all__ = ["FORMATS", "build_report", "write_report"]

EXPECTED = (
    "what `emprox bench --out`, `emprox search`, benchmarks/run.py or benchmarks/ablation.py write, or a folder of `emprox fit`"
)
FORMATS = ("html", "pdf", "svg", "png")
"""What a report can be written as: one page, or one file for each figure."""


def write_report(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    format: str = "html",
    title: str | None = None,
    candidates: Sequence[Any] | None = None,
    larger_is_better: bool | None = None,
    projection: str = "tsne",
) -> list[Path]:
    """Write a report on results and models.

    Parameters
    ----------
    paths : sequence of str or Path
        Files of `emprox bench --out`, ``benchmarks/run.py``, ``benchmarks/ablation.py`` and `emprox search`, folders of models.
    out : str or Path
        HTML file; for other formats a folder, which gets one file for each figure.
    format : {"html", "pdf", "svg", "png"}
        Figures for papers are drawn by matplotlib (extra ``plots``).
    title : str, optional
        The heading; by default it names what was given.
    candidates : sequence, optional
        Architectures among which a model's report looks for those worth measuring next; by default 1,000 of its space.
    larger_is_better : bool, optional
        Whether a model's target is to be large; by default as the model says, and large where it does not.
    projection : {"tsne", "umap"}
        How the embedding of a model is laid out in two dimensions; ``umap`` needs the extra of that name.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    StorageError
        If a file cannot be read or written.
    InvalidDataError
        If a file is of no known kind.
    InvalidOptionError
        If format or projection is unknown, or the report would be written over what it is about.
    """
    if format not in FORMATS:
        raise InvalidOptionError(f"format must be one of {', '.join(FORMATS)}; got {format!r}")
    _refuse_overwriting(paths, Path(out))
    report = build_report(paths, title=title, candidates=candidates, larger_is_better=larger_is_better, projection=projection)
    if format != "html":
        from emprox.report.paper import write_figures

        return write_figures(report, Path(out), format)
    from emprox.report.html import render_html

    write_file(out, render_html(report).encode())
    return [Path(out)]


def build_report(
    paths: Sequence[str | Path],
    *,
    title: str | None = None,
    candidates: Sequence[Any] | None = None,
    larger_is_better: bool | None = None,
    projection: str = "tsne",
) -> Report:
    """Return the report that `write_report` writes, as values."""
    from emprox.report.models import PROJECTIONS, model_sections

    if projection not in PROJECTIONS:
        raise InvalidOptionError(f"projection must be one of {', '.join(PROJECTIONS)}; got {projection!r}")
    if not paths:
        raise InvalidDataError("expected at least one file of results or folder of a model, got none")
    paths = list(map(_file_of_results, paths))
    paths = list({Path(path).resolve(): path for path in paths}.values())
    folders = [Path(path) for path in paths if (Path(path) / MANIFEST).is_file()]
    contents = [(file, content) for file in map(Path, paths) if file not in folders for content in _contents(file)]
    sections, sources = _result_sections(contents)
    names = told_apart([folder.resolve().name for folder in folders], list(map(str, folders)))
    for folder, name in zip(folders, names, strict=True):
        found, source = model_sections(folder, name, candidates, larger_is_better, projection)
        sections += found
        sources.append(source)
    sections = _keyed_apart(sections)
    heading = title or _title(list(dict.fromkeys(section.name.partition(":")[0] for section in sections)))
    return Report(heading, tuple(_summary(sections)), tuple(sections), tuple(sources))


def _file_of_results(path: str | Path) -> Path:
    """Return the path, of a folder of `emprox search` the file in it."""
    found = Path(path) / RESULT
    return found if found.is_file() and not (Path(path) / MANIFEST).is_file() else Path(path)


def _refuse_overwriting(paths: Sequence[str | Path], out: Path) -> None:
    """Raise if a report would be written over a file that it is about, or into a model, all of whose files are listed."""
    for path in map(_file_of_results, paths):
        is_within = (path / MANIFEST).is_file() and path.resolve() in out.resolve().parents
        if is_within or out.resolve() == path.resolve() or (out.exists() and path.exists() and out.samefile(path)):
            raise InvalidOptionError(f"the report would be written to {out}, over {path} that it is about; name another place")


def _result_sections(contents: Iterable[tuple[Path, Any]]) -> tuple[list[Section], list[Source]]:
    """Return the sections of all files; what belongs together is in one."""
    from emprox.report.ablations import ablation_section, ablation_source, is_ablation
    from emprox.report.benchmarks import benchmark_section
    from emprox.report.runs import is_run, read_run, together
    from emprox.report.searches import check_search, is_search, search_sections, search_source

    runs, searches, sections, sources = [], [], [], []
    for path, content in contents:
        with _naming(path):
            if is_run(content):
                runs.append(read_run(content, path))
                benchmark_section(runs[-1])  # so that an error has the name of its file
            elif is_search(content):
                check_search(content, path)
                search_sections([(path, content)])  # so that an error has the name of its file
                searches.append((path, content))
                sources.append(search_source(content, path))
            elif is_ablation(content):
                sections.append(ablation_section(content, path))
                sources.append(ablation_source(content, path))
            else:
                raise InvalidDataError(f"{path} is no file of results that a report knows; expected {EXPECTED}")
    joined = together(runs)
    found = [*(benchmark_section(run, place) for place, run in enumerate(joined)), *search_sections(searches), *sections]
    return found, [*(source for run in joined for source in run.sources), *sources]


def _keyed_apart(sections: Sequence[Section]) -> list[Section]:
    """Return sections with keys, and keys of charts and tables, none of which stands twice: the page and its files go by them."""
    keys = [key for section in sections for key in (section.key, *(item.key for item in section.items))]
    apart = (slug(key) for key in told_apart(keys))
    return [
        replace(section, key=next(apart), items=tuple(replace(item, key=next(apart)) for item in section.items))
        for section in sections
    ]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what a file lacks into an error that names it."""
    try:
        yield
    except EmproxError as error:
        raise error if str(path) in str(error) else InvalidDataError(f"{path}: {error}") from error
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise InvalidDataError(f"{path} is not as it was written, {error!r}; expected {EXPECTED}") from error


def _contents(path: Path) -> list[Any]:
    """Return the JSON values of a file, those of a list one by one."""
    if path.is_dir():
        raise StorageError(
            f"{path} is a folder without {MANIFEST} or {RESULT}; expected one that `emprox fit` or `emprox search` wrote. A "
            f"store has no report: learn from it first, emprox fit {path} --target COLUMN -o model"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error}; expected a file of results or a folder that `emprox fit` wrote"
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidDataError(f"{path} is no JSON file: {error}; expected what `emprox bench --out` writes") from error
    if content == []:
        raise InvalidDataError(f"{path} holds an empty list; expected {EXPECTED}")
    return content if isinstance(content, list) else [content]


def _title(names: list[str]) -> str:
    return f"Report on {listed(names)}" if len(names) < 4 else f"Report on {len(names)} results"


def _summary(sections: Sequence[Section]) -> list[str]:
    """Return the first sentence of every section, and all of them where there is one section."""
    if len(sections) == 1:
        return list(sections[0].sentences)
    return [section.sentences[0] for section in sections if section.sentences]
