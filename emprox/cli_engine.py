"""Options of the command line that say where work runs."""

from __future__ import annotations

from typing import Annotated

import typer

from emprox.parallel import ENGINES

__all__ = ["AddressOption", "EngineOption", "JobsOption"]

JobsOption = Annotated[int, typer.Option(min=1, help="Processes of this machine that share the work.")]
EngineOption = Annotated[str, typer.Option(help="; ".join(f"{name}: {what}" for name, what in ENGINES.items()) + ".")]
AddressOption = Annotated[
    str | None,
    typer.Option(help="Dask scheduler, tcp://host:8786, or Ray head, host:6379; without it --jobs local workers are started."),
]
