"""The command line of zero-cost proxies."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from emprox.cli_candidates import read_lines
from emprox.cli_engine import AddressOption, EngineOption, JobsOption
from emprox.errors import EmproxError, InvalidDataError, InvalidOptionError
from emprox.parallel import Engine, described, run

if TYPE_CHECKING:
    from torch import nn

    from emprox.proxies import ProxyScores, Recipe
    from emprox.proxies.storage import ProxyFile

__all__ = ["proxies"]

Work = tuple[str, tuple[int, ...] | None]
"""What to compute proxies of: an architecture with its space in front, or a factory and its input's shape."""
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def proxies(
    source: Annotated[str, typer.Argument(help="With --space a file, one architecture per line, or -; else module:factory.")],
    space: Annotated[str | None, typer.Option(help="Search space of the architectures.")] = None,
    input_shape: Annotated[str | None, typer.Option(help="For module:factory: shape of an input, such as 3,32,32.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="csv file; a rerun adds only what it lacks.")] = None,
    proxy: Annotated[list[str] | None, typer.Option(help="Proxy to compute; may be repeated; all by default.")] = None,
    batch_size: Annotated[int, typer.Option(help="Random inputs of a batch.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of weights, inputs and labels.")] = 0,
    device: Annotated[str, typer.Option(help="Where networks run, such as cpu or cuda:0.")] = "cpu",
    jobs: JobsOption = 1,
    engine: EngineOption = "loky",
    address: AddressOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
) -> None:
    """Compute zero-cost proxies of untrained networks: of architectures, or of what a function of yours returns.

    Inputs are standard normal, labels uniform, weights as the layers draw them. What cannot be computed stays in the output
    with its reason.
    """
    from emprox.proxies import PROXIES, Recipe
    from emprox.proxies.storage import ProxyFile
    from emprox.spaces import get_space

    names = [PROXIES.get(name).name for name in proxy or PROXIES]
    recipe, where = Recipe(batch_size, seed, device), Engine(engine, jobs, address)
    work: dict[str, Work]
    if space is None:
        work = {source: (source, _shape(input_shape))}
    else:
        if input_shape is not None:
            raise InvalidOptionError("--input-shape goes with module:factory; architectures of a space have their own")
        get_space(space)  # a wrong name is an error before anything is computed
        work = {line: (f"{space}:{line}", None) for line in read_lines(source)}
    if output is None:
        _print(work, names, recipe)
        return
    shape = "" if space is not None else f" input_shape={'x'.join(map(str, work[source][1] or ()))}"
    file = ProxyFile(output, names, f"{recipe}{shape}")
    left = {name: (what, missing) for name, what in work.items() if (missing := file.missing(name))}
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(f"{len(work) - len(left)} of {len(work)} were there", total=len(left))
        for name, scores in _computed(left, recipe, where, threads):
            file.add(name, scores)
            bar.advance(task)
    file.write(work)
    _summarise(file, list(work), len(left))


def _computed(
    left: dict[str, tuple[Work, list[str]]], recipe: Recipe, engine: Engine, threads: int
) -> Iterator[tuple[str, ProxyScores]]:
    tasks = [(name, *what, missing) for name, (what, missing) in left.items()]
    for _, found in run(_one, tasks, shared=(recipe, threads), engine=engine):
        yield found


def _one(task: tuple[str, str, tuple[int, ...] | None, list[str]], shared: tuple[Recipe, int]) -> tuple[str, ProxyScores]:
    """Return the proxies of an architecture, or of a factory's network if there is a shape; an error is a failure of all."""
    from emprox.parallel import limit_threads
    from emprox.proxies import ProxyScores, score_architecture, score_module
    from emprox.spaces import get_space

    (name, what, shape, names), (recipe, threads) = task, shared
    with limit_threads(threads):
        if shape is not None:
            network = _network(what, recipe.seed)
            try:
                return name, score_module(network, shape, names, recipe)
            except EmproxError:
                raise
            except Exception as error:  # whatever the network's own code raises
                raise InvalidDataError(f"{what} does not take inputs of shape {shape}: {described(error)}") from error
        try:
            space, _, text = what.partition(":")
            return name, score_architecture(get_space(space).parse(text), names, recipe)
        except Exception as error:  # whatever one architecture raises, the others go on
            return name, ProxyScores({}, dict.fromkeys(names, f"{type(error).__name__}: {error}"))


def _network(factory: str, seed: int) -> nn.Module:
    """Return what ``module:function`` returns; modules are looked for in the current folder too."""
    import torch
    from torch import nn

    from emprox.proxies.case import isolated_randomness

    module, _, name = factory.partition(":")
    if not module or not name:
        raise InvalidOptionError(f"expected module:factory, such as torchvision.models:resnet18, or --space, got {factory!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidOptionError(f"cannot import {factory!r}: {error}") from error
    with isolated_randomness(seed, torch.device("cpu")):
        try:
            network = make if isinstance(make, nn.Module) else make()
        except Exception as error:  # whatever the factory's own code raises
            raise InvalidOptionError(f"{factory}() raised {described(error)}") from error
    if not isinstance(network, nn.Module):
        raise InvalidOptionError(f"{factory} returned a {type(network).__name__}, expected a torch.nn.Module")
    return network


def _shape(text: str | None) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in (text or "").split(","))
    except ValueError:
        got = f"got --input-shape {text!r}"
        raise InvalidOptionError(f"expected --input-shape such as 3,32,32 with module:factory, or --space; {got}") from None
    if min(shape) < 1:
        raise InvalidOptionError(f"lengths in --input-shape are at least 1, got {text!r}")
    return shape


def _print(work: dict[str, Work], names: list[str], recipe: Recipe) -> None:
    for name, what in work.items():
        _, scores = _one((name, *what, names), (recipe, 1))
        out.print(name, markup=False)
        for proxy in names:
            value = f"{scores.values[proxy]:.6g}" if proxy in scores.values else f"- ({scores.failures[proxy]})"
            out.print(f"  {proxy:10s}{value}", markup=False)


def _summarise(file: ProxyFile, names: list[str], computed: int) -> None:
    failed = {name: json.loads(file.rows[name]["failures"]) for name in names if file.rows[name]["failures"]}
    out.print(f"{len(names)} networks in {file.path}, {computed} computed now, {len(failed)} with failures", markup=False)
    for name, reasons in list(failed.items())[:5]:
        proxy, reason = next(iter(reasons.items()))
        err.print(f"{name}: {proxy}: {reason}", markup=False)
