"""The command line: fit, estimate, explain, bench, proxies, report, search, store, tables, train, demo."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from emprox.cli_candidates import estimated, fitted_without_model
from emprox.cli_demo import best_held_out, fit_split, write_demo
from emprox.cli_engine import AddressOption, EngineOption, JobsOption
from emprox.cli_print import as_json_text, number_text, print_rows, print_table
from emprox.cli_proxies import proxies
from emprox.cli_report import report
from emprox.cli_search import search
from emprox.cli_store import store
from emprox.cli_tables import tables
from emprox.cli_train import train
from emprox.errors import EmproxError, InvalidOptionError

if TYPE_CHECKING:
    from emprox.estimators import ArchitectureRegressor

__all__ = ["app", "main"]

DEFAULT_SPACE = "nasbench201"
"""Space of a column of architectures that tells none."""
NETWORKS = "network"
"""Family that an input shape is for, where no space is given."""

Fitted = TypeVar("Fitted", bound="ArchitectureRegressor")

app = typer.Typer(
    help="Estimate how good a neural architecture is before training it, from its nearest measured neighbours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(tables, name="tables")
app.add_typer(store, name="store")
app.command()(proxies)
app.command()(train)
app.command()(report)
app.command()(search)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ModelOption = Annotated[Path, typer.Option("--model", "-m", help="Folder that `emprox fit` wrote.")]
ShapeOption = Annotated[
    str | None,
    typer.Option(help="Shape of one input, 3,224,224, for modules and ONNX files that come without."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]

DEMO_LABELS, DEMO_TEST, DEMO_SHOWN = 121, 1000, 10
"""Cells that `emprox demo` takes as measured, estimates in each split, and lists; fewer where the bundled table is smaller."""


class Split(str, Enum):
    """How test and training rows are drawn."""

    ROW = "row"
    CLASS = "class"


@app.command()
def fit(
    results: Annotated[
        Path, typer.Argument(help="csv file with columns of architectures and measurements, or a store's folder.")
    ],
    target: Annotated[list[str], typer.Option(help="Column to learn, such as val_accuracy.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the fitted model.")],
    larger_is_better: Annotated[
        bool | None, typer.Option("--larger-is-better/--smaller-is-better", help="Direction, where the name does not tell it.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help=f"Search space of the architectures; told from the column by default, {DEFAULT_SPACE} where it tells none."
        ),
    ] = None,
    input_shape: ShapeOption = None,
    architecture_column: Annotated[str, typer.Option(help="Column of architectures.")] = "architecture",
    std_column: Annotated[str | None, typer.Option(help="Column of the measurements' standard deviations.")] = None,
    estimator: Annotated[str, typer.Option(help="Estimator and options, name:key=value,...")] = "emprox",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
) -> None:
    """Learn from measured architectures and save the model."""
    from emprox.estimators import make_estimator
    from emprox.estimators.base import Target
    from emprox.index import Store
    from emprox.tables import read_csv

    _see_local_modules()
    family, (name, *others) = _family(space, input_shape), target
    if others:
        raise InvalidOptionError(f"expected one --target, got {', '.join(target)}; in Python fit takes a column for each")
    if results.is_dir() and (std_column is not None or architecture_column != "architecture"):
        raise InvalidOptionError(f"{results} is a store, which has no columns; leave out --std-column and --architecture-column")
    columns: dict[str, Any] = {"architecture": architecture_column, "std": std_column, "default_space": DEFAULT_SPACE}
    table = Store(results).table(name, space) if results.is_dir() else read_csv(results, family, name, **columns)
    told = Target.of(table, name)
    told = told if larger_is_better is None else replace(told, larger_is_better=larger_is_better)
    model = make_estimator(estimator, space=table.space, random_state=seed)
    model.fit(table.architectures, table.targets[name], table.spreads.get(name), target=told)
    model.save(output)
    better = {True: " (larger is better)", False: " (smaller is better)", None: ""}[told.larger_is_better]
    out.print(f"{estimator} fitted on {len(table)} architectures of {table.space}, {name}{better}; saved in {output}")
    if told.larger_is_better is None:
        err.print(f"whether {name} has to be large is not known; --larger-is-better or --smaller-is-better says it")


@app.command()
def estimate(
    candidates: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text files with one architecture per line, - for standard input, or architectures: space:description, and for "
            "models of networks package.module:factory and .onnx files."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            help="Folder that `emprox fit` wrote. Without: a table of the family that is on this machine, or a rank.",
        ),
    ] = None,
    space: Annotated[str | None, typer.Option(help="Search space of the candidates, where there is no model.")] = None,
    table: Annotated[str | None, typer.Option(help="Table to estimate from, where there is no model.")] = None,
    tables_root: Annotated[Path | None, typer.Option(help="Folder of downloaded tables.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Draw this many from the space instead; with --top.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    input_shape: ShapeOption = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only this many, the best first: the lowest of a target that has to be small.")
    ] = None,
    jobs: JobsOption = 1,
    engine: EngineOption = "loky",
    address: AddressOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write csv instead of a table.")] = False,
) -> None:
    """Estimate the performance of candidate architectures."""
    from emprox.estimators import load
    from emprox.parallel import Engine

    if as_json and as_csv:
        raise InvalidOptionError("choose one of --json and --csv")
    if model is not None and (space, table, tables_root) != (None, None, None):
        raise InvalidOptionError("--space, --table and --tables-root say what is known where there is no --model")
    where, given = Engine(engine, jobs, address), candidates or []
    if model is None:
        _see_local_modules()
        fitted = fitted_without_model(given, _family(space, input_shape), table, tables_root)
    else:
        fitted = _opened(load(model), input_shape)
    rows = estimated(fitted, given, sample, seed, top, where)
    if as_json:
        sys.stdout.write(as_json_text(rows) + "\n")
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        print_rows(rows)


@app.command()
def explain(
    architecture: Annotated[str, typer.Argument(help="The architecture, in quotes.")],
    model: ModelOption,
    input_shape: ShapeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the neighbours that an estimate is made of."""
    from emprox.estimators import EmProx

    explanation = _opened(EmProx.load(model), input_shape).explain(architecture)
    if as_json:
        sys.stdout.write(as_json_text(explanation) + "\n")
        return
    out.print(explanation["architecture"])
    out.print(_sentence(explanation))
    if explanation["neighbors"]:
        print_rows([{**row, "differs": _differs(row)} if "differs" in row else row for row in explanation["neighbors"]])


@app.command()
def bench(
    table: Annotated[list[str], typer.Option(help="Table, name or name:variant; may be repeated.")],
    estimator: Annotated[list[str], typer.Option(help="Estimator, name:key=value,...; may be repeated.")],
    train_size: Annotated[list[int], typer.Option(help="Number of labelled architectures; may be repeated.")],
    test_size: Annotated[str, typer.Option(help="Architectures scored in each trial, or 'rest'.")] = "1000",
    trials: Annotated[int, typer.Option(help="Random splits.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of splits and estimators.")] = 0,
    split: Annotated[Split, typer.Option(help="Draw from all rows, or from one row per class of equal function.")] = Split.ROW,
    population: Annotated[str, typer.Option(help="Rows taken part: all, connected, classes, or the space's own.")] = "all",
    target: Annotated[str | None, typer.Option(help="Column to estimate; the table's first by default.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Table of another family for estimators that transfer; may be repeated.")
    ] = None,
    trainings: Annotated[int, typer.Option(help="Pretrainings on the source that trials take in turn.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each process.")] = 1,
    jobs: Annotated[
        int, typer.Option(help="Processes that share all but the first three trials, which run alone and are timed.")
    ] = 1,
    engine: EngineOption = "loky",
    address: AddressOption = None,
    tables_root: Annotated[Path | None, typer.Option(help="Folder of downloaded tables.")] = None,
    output: Annotated[Path | None, typer.Option("--out", help="JSON file to write.")] = None,
    keep_predictions: Annotated[bool, typer.Option(help="Keep the estimates of the first trial too, for a report.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Two trials on at most 100 test architectures, to try it out.")] = False,
) -> None:
    """Score and time estimators on a table of known performance."""
    from emprox.benchmark import Protocol, run_benchmark
    from emprox.persistence import write_file

    protocol = Protocol(
        train_sizes=tuple(train_size),
        test_size=_smaller(_test_size(test_size), 100) if smoke else _test_size(test_size),
        trials=2 if smoke else trials,
        seed=seed,
        split=split.value,
        population=population,
        target=target,
        source=tuple(source or ()),
        trainings=trainings,
        threads=threads,
        jobs=jobs,
        engine=engine,
        address=address,
    )
    runs = []
    for name in table:
        with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
            task = bar.add_task(name, total=None)
            run = run_benchmark(
                name,
                estimator,
                protocol,
                tables_root=tables_root,
                keep_predictions=keep_predictions,
                progress=partial(_advance, bar, task),
            )
        runs.append(run)
        _print_summary(run)
    if output is not None:
        write_file(output, (as_json_text(runs[0] if len(runs) == 1 else runs) + "\n").encode())
        out.print(f"written to {output}")


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of splits and training.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results, model and report.")] = Path("emprox-demo"),
) -> None:
    """Fit, score and use estimators on the table that ships with emprox; needs no network and no files."""
    from emprox.benchmark import Protocol, run_benchmark
    from emprox.tables import load_table

    table = load_table("bundled").population("classes")
    labels = min(DEMO_LABELS, len(table) // 2)
    out.print(f"The bundled table: {len(table)} NAS-Bench-201 cells trained on 8 x 8 digits, validation accuracy in percent.\n")
    out.print(f"1. {labels} cells are treated as measured, up to {DEMO_TEST} others are estimated, in 3 random splits:")
    specs, asked = ["xgboost", "emprox"], min(DEMO_TEST, len(table) - labels)
    protocol = Protocol((labels,), asked, trials=3, seed=seed, split="class")
    run = run_benchmark("bundled", specs, protocol, keep_predictions=True)
    _print_summary(run)
    estimator, held_out = fit_split(table, labels, seed)
    out.print(f"\n2. The best estimates of the {len(held_out)} cells that one split holds out, beside what training gave:")
    rows = best_held_out(estimator, held_out, DEMO_SHOWN)
    print_rows(rows)
    found = sum(row["place"] <= len(rows) for row in rows)
    out.print(
        f"\nOf the {len(rows)} cells that are best by training, {found} are among these {len(rows)}; "
        f"as many drawn at random would hold {len(rows) ** 2 / len(held_out):.2g} of them."
    )
    out.print(f"\n3. The same to look at, in a browser: {write_demo(run, estimator, output)}", markup=False)


def main() -> None:
    """Run the command line; an error of emprox is one line and exit code 1, a wrong call is exit code 2."""
    try:
        app()
    except EmproxError as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(1)


def _sentence(explanation: dict[str, Any]) -> str:
    """Return the estimate, how sure it is, and how much of it the neighbours shown make up."""
    lower, upper = (number_text(end) for end in explanation["interval"])
    shown, share = len(explanation["neighbors"]), explanation["share_shown"]
    return (
        f"Estimated {number_text(explanation['estimate'])}, between {lower} and {upper} with 90 % probability. The {shown} of "
        f"{explanation['known']} measured networks below carry {share:.0%} of the weight."
    )


def _differs(row: dict[str, Any]) -> str:
    """Return the column in which a neighbour differs most from the candidate."""
    return row["differs"][0]["column"] if row["differs"] else "nothing"


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _family(space: str | None, input_shape: str | None) -> Any:
    """Return what `get_family` and `infer_space` take; with an input shape, networks that take such inputs."""
    if input_shape is None:
        return space
    from emprox.spaces import get_family

    return get_family(f"{space or NETWORKS}:input_shape={input_shape.replace(',', 'x')}")


def _opened(fitted: Fitted, input_shape: str | None) -> Fitted:
    """Return a loaded model that finds factories in the working directory, and reads networks with such inputs."""
    _see_local_modules()
    if input_shape is not None:
        fitted.space_ = _family(fitted.space_.name, input_shape)
    return fitted


def _see_local_modules() -> None:
    """Let factories be found in the working directory, as ``python -m`` does."""
    if "" not in sys.path:
        sys.path.insert(0, "")


def _test_size(text: str) -> Any:
    if text == "rest":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidOptionError(f"--test-size must be a number or 'rest', got {text!r}") from None


def _smaller(size: Any, most: int) -> int:
    return most if size == "rest" else min(size, most)


def _print_summary(run: dict[str, Any]) -> None:
    title = f"{run['table']}, {run['target']}: {run['population']} rows, {run['split']} split, {run['trials']} trials, mean (sd)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("estimator", "labels", "Kendall", "Spearman", "MAE", "epochs trained", "fit s", "query ms per architecture"):
        table.add_column(name, justify="left" if name == "estimator" else "right", no_wrap=True)
    for row in run["summary"]:
        table.add_row(
            row["estimator"],
            str(row["train_size"]),
            *(f"{row[f'{name}_mean']:.3f} ({row[f'{name}_std']:.3f})" for name in ("kendall", "spearman", "mae")),
            f"{row['training_epochs_mean']:,.0f}" if "training_epochs_mean" in row else "",
            f"{row['fit_seconds_mean']:.3f}" if "fit_seconds_mean" in row else "",
            f"{1000 * row['query_seconds_per_architecture_mean']:.4f}" if "fit_seconds_mean" in row else "",
        )
    print_table(table)


if __name__ == "__main__":
    main()
