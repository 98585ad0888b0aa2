"""The command line of searches."""

from __future__ import annotations

import json
import shlex
import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from emprox.cli_engine import AddressOption, EngineOption
from emprox.errors import InvalidDataError, InvalidOptionError, StorageError
from emprox.parallel import Engine

if TYPE_CHECKING:
    from emprox.search import Bound, Goals, Pool, Search, Trial
    from emprox.search.run import Budget

__all__ = ["search"]

RESULT = "result.json"
REPORT = "report.html"
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def search(
    space: Annotated[str, typer.Argument(help="Search space.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the histories, result.json and report.html.")],
    table: Annotated[str | None, typer.Option(help="Table whose rows are looked up: a simulated search.")] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="package.module:function or file.py:function that trains an architecture and returns its accuracy."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="guided, evolution, local or random, with options: guided:acquisition=ei,n_candidates=100.")
    ] = "guided",
    estimator: Annotated[str | None, typer.Option(help="Estimator of a guided search, name:key=value,...")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Budget: evaluations, failed ones included.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Budget: seconds; what runs then is waited for.")] = None,
    maximize: Annotated[list[str] | None, typer.Option(help="Value to be large; may be repeated.")] = None,
    minimize: Annotated[list[str] | None, typer.Option(help="Value to be small, such as macs_millions; may be repeated.")] = None,
    bound: Annotated[list[str] | None, typer.Option(help="Limit, such as 'macs_millions<=300'; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that evaluate; with a table, how many are asked at a time.")] = 1,
    engine: EngineOption = "loky",
    address: AddressOption = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds of one evaluation, after which it has failed.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Searches, with seeds from --seed on.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first search.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the histories in the folder.")] = False,
    tables_root: Annotated[Path | None, typer.Option(help="Folder of downloaded tables.")] = None,
) -> None:
    """Search for the best architecture: choose, train, learn, until the budget is used.

    Every evaluation is on the disk when it ends; after an interruption the same call with --resume goes on. Ends with a report
    to look at; `emprox report` puts several results into one.
    """
    from emprox.persistence import write_file
    from emprox.registry import parse_spec
    from emprox.report import write_report
    from emprox.search import History
    from emprox.search.results import result
    from emprox.search.run import Budget

    budget = Budget(evaluations, seconds)
    where = Engine(engine, workers, address)
    if table is not None and engine != "loky":
        raise InvalidOptionError(
            f"a simulated search looks values up here, got --engine {engine}; give --objective, or leave it out"
        )
    if (table is None) == (objective is None):
        raise InvalidOptionError("expected one of --table and --objective")
    if objective is not None and "" not in sys.path:
        sys.path.insert(0, "")
    pool, goals = _task(space, table, tables_root, maximize or [], minimize or [], bound or [])
    name, options = parse_spec(method)
    if estimator is not None:
        options["estimator"] = estimator
    about = {"table": table, "objective": objective, "method": name, "options": options}
    limits = [str(each) for each in (*pool.bounds, *goals.bounds)]
    wanted = {o.name: "large" if o.larger_is_better else "small" for o in goals.objectives}
    files = [output / f"history-{number}.jsonl" for number in range(seed, seed + runs)]
    taken = [file for file in (*files, output / RESULT) if file.exists() and file.stat().st_size]
    if taken and not resume:
        raise StorageError(f"{taken[0]} is there; go on with it by --resume, or choose another folder")
    searches: list[tuple[Search, float]] = []
    interrupted = False
    for number, file in enumerate(files, start=seed):
        facts = {"space": pool.space.name, **about, "goals": wanted, "bounds": limits, "seed": number}
        history = History(file, facts)
        if history.dropped:
            err.print(f"{file} ended in the middle of a line, which was dropped", markup=False)
        try:
            chosen = _make(name, options, pool, goals, history, number)
            choosing, interrupted = _run(chosen, budget, objective, where, time_limit)
        finally:
            history.close()
        searches.append((chosen, choosing))
        if interrupted:
            break
    spent = {"evaluations": evaluations, "seconds": seconds}
    content = result(searches, about=about | _machine() | {"citation": _citation(pool)}, budget=spent)
    write_file(output / RESULT, (json.dumps(content, allow_nan=False) + "\n").encode())
    _summarise(content, output)
    (page,) = write_report([output / RESULT], output / REPORT)
    out.print(f"the report to look at: {page}", markup=False)
    if interrupted:
        err.print("interrupted; the same call with --resume goes on", markup=False)
        raise typer.Exit(130)
    trials = [trial for each, _ in searches for trial in each.history]
    if trials and all(trial.values is None for trial in trials):
        raise InvalidDataError(f"every evaluation failed, the first with: {trials[0].error}")


def _task(
    space: str, table: str | None, tables_root: Path | None, maximize: list[str], minimize: list[str], bounds: list[str]
) -> tuple[Pool, Goals]:
    """Return what may be asked and what for; bounds on what is known without training narrow the former."""
    from emprox.search import Bound, Goals, SpacePool, TablePool
    from emprox.spaces import get_space
    from emprox.tables import load_table

    family, limits = get_space(space), [Bound.parse(text) for text in bounds]
    names = [*maximize, *(f"-{name}" for name in minimize)]
    pool: Pool
    if table is None:
        pool = SpacePool(family)
        known, _ = _split(pool, limits)
        pool = SpacePool(family, known)
    else:
        rows = load_table(table, tables_root)
        if rows.space != family.name:
            raise InvalidOptionError(f"table {table} has architectures of {rows.space}, the search space is {family.name}")
        pool = TablePool(rows)
        known, _ = _split(pool, limits)
        pool = TablePool(rows, known) if known else pool
        target, _ = rows.target()
        names = names or [f"-{target}" if rows.measures[target].sign < 0 else target]
        for name in {name.removeprefix("-") for name in names} - {*rows.targets, *pool.known_names}:
            rows.target(name)  # an unknown name is an error that suggests the nearest
    return pool, Goals.of(*(names or ["val_accuracy"]), bounds=_split(pool, limits)[1])


def _split(pool: Pool, bounds: list[Bound]) -> tuple[list[Bound], list[Bound]]:
    """Return the bounds on what is known without training, and the others."""
    known = [bound for bound in bounds if bound.name in pool.known_names]
    return known, [bound for bound in bounds if bound not in known]


def _make(name: str, options: dict[str, Any], pool: Pool, goals: Goals, history: Any, seed: int) -> Search:
    """Return the search of that name with its options; a wrong option is an error that names those there are."""
    import inspect

    from emprox.registry import nearest
    from emprox.search import SEARCHES

    method = SEARCHES.get(name)
    allowed = [
        option
        for option, parameter in inspect.signature(method).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and option not in ("goals", "bounds", "history", "random_state")
    ]
    for option in options:
        if option not in allowed:
            raise InvalidOptionError(f"{name} has no option {option!r}; {nearest(option, allowed) if allowed else 'it has none'}")
    return method(pool, goals=goals, history=history, random_state=seed, **options)


def _run(chosen: Search, budget: Budget, objective: str | None, engine: Engine, time_limit: float | None) -> tuple[float, bool]:
    """Search with progress; return the seconds of choosing and whether it was interrupted."""
    from emprox.search import TablePool
    from emprox.search.cluster import ClusterEvaluator
    from emprox.search.run import TableEvaluator, run_search
    from emprox.search.workers import WorkerEvaluator

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        if objective is None:
            assert isinstance(chosen.pool, TablePool)
            evaluator: Any = stack.enter_context(nullcontext(TableEvaluator(chosen.pool, engine.jobs)))
        elif engine.name == "loky":
            evaluator = stack.enter_context(WorkerEvaluator(objective, engine.jobs, time_limit))
        else:
            evaluator = stack.enter_context(ClusterEvaluator(objective, engine, time_limit))
        bar = stack.enter_context(Progress(*columns, console=err, transient=True, disable=not err.is_terminal))
        task = bar.add_task(f"seed {chosen.random_state}", total=budget.evaluations, completed=len(chosen.history))
        best = chosen.best

        def show(trial: Trial) -> None:
            nonlocal best
            bar.update(task, completed=len(chosen.history), description=f"seed {chosen.random_state}, {_found(chosen)}")
            if trial.error is not None:
                err.print(f"trial {trial.number} failed: {trial.error}", markup=False)
            elif not err.is_terminal and objective is not None and chosen.best is not best:
                err.print(f"after {len(chosen.history)}: {_found(chosen)}", markup=False)
            best = chosen.best

        start = time.perf_counter()
        try:
            return run_search(chosen, evaluator, budget, show), False
        except KeyboardInterrupt:
            return time.perf_counter() - start, True


def _found(chosen: Search) -> str:
    best = chosen.best
    if best is None or best.values is None:
        return "none succeeded yet"
    names = [objective.name for objective in chosen.goals.objectives]
    values = ", ".join(f"{name} {best.values[name]:.5g}" for name in names)
    return f"best {values}" if len(names) == 1 else f"{len(chosen.front)} on the front"


def _summarise(content: dict[str, Any], output: Path) -> None:
    names = [each["name"] for each in content["goals"]["objectives"]]
    for run in content["runs"]:
        failed = f", {run['failures']} failed" if run["failures"] else ""
        out.print(f"seed {run['seed']}: {run['evaluations']} evaluations{failed}", markup=False)
        shown = run["front"] if len(names) > 1 else [run["best"]]
        for number in [number for number in shown if number is not None]:
            trial = run["trials"][number]
            values = ", ".join(f"{name} {trial['values'][name]:.5g}" for name in names)
            place = f", rank {run['rank'][-1]} of {content['population']}" if "rank" in run and run["rank"][-1] else ""
            out.print(f"  {trial['architecture']}  {values}{place}", markup=False)
    out.print(f"written to {output / RESULT}", markup=False)


def _machine() -> dict[str, Any]:
    from emprox.benchmark import commit, machine

    return {"machine": machine(), "commit": commit(), "command": shlex.join(["emprox", *sys.argv[1:]])}


def _citation(pool: Any) -> str | None:
    return getattr(getattr(pool, "table", None), "citation", None)
