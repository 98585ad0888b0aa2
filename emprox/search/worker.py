"""The process that evaluates: ``python worker.py OBJECTIVE``, a line of JSON in for each architecture, one out.

It ends when the search that started it does, even in the middle of an evaluation.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from emprox.errors import InvalidDataError, InvalidOptionError
from emprox.spaces import get_space

__all__ = ["find_objective", "main"]

SHOWN = 2000
"""Characters of an error that are kept."""


def find_objective(text: str) -> Callable[[Any], Any]:
    """Return the function of ``package.module:function`` or ``path/to/file.py:function``.

    Modules are looked for in the working directory too, as ``python -m`` does.

    Raises
    ------
    InvalidOptionError
        If there is none.
    """
    module, _, name = text.rpartition(":")
    if not module or not name:
        raise InvalidOptionError(f"expected an objective package.module:function or file.py:function, got {text!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(_from_file(Path(module)) if module.endswith(".py") else importlib.import_module(module), name)
    except Exception as error:  # a module may raise anything while it is imported
        raise InvalidOptionError(f"cannot import the objective {text!r}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise InvalidOptionError(f"the objective {text!r} is a {type(found).__name__}, expected a function of an architecture")
    return found


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InvalidOptionError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Answer each line of standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the objective prints must not be taken for an answer
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    source = os.fdopen(os.dup(0))
    threading.Thread(target=_read, args=(source, lines), daemon=True).start()
    try:
        objective = find_objective(sys.argv[1])
    except InvalidOptionError as error:
        _answer(answers, {"fatal": str(error)})
        return
    _answer(answers, {"ready": True})
    while True:
        question = json.loads(lines.get())
        start = time.monotonic()
        try:
            found = _plain(objective(get_space(question["space"]).parse(question["architecture"])))
            answer = {"values": found}
        except KeyboardInterrupt:
            os._exit(130)
        except BaseException as error:
            answer = {"error": _described(error)}
        _answer(answers, answer | {"seconds": time.monotonic() - start})


def _read(source: TextIO, lines: queue.SimpleQueue[str]) -> None:
    """Hand on lines; when there are no more the search is gone, and so is its worker."""
    for line in source:
        lines.put(line)
    os._exit(0)


def _answer(answers: TextIO, content: Mapping[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def _plain(values: Any) -> Any:
    """Return what an objective returned as JSON holds it; what is no number is an error here already."""
    if isinstance(values, Mapping):
        return {str(name): _plain(value) for name, value in values.items()}
    if isinstance(values, bool | str | bytes) or values is None:
        raise InvalidDataError(f"the objective returned {type(values).__name__} {values!r}, expected a number")
    try:
        number = float(values)
    except (TypeError, ValueError):
        raise InvalidDataError(f"the objective returned {type(values).__name__} {values!r:.200}, expected a number") from None
    if not math.isfinite(number):
        raise InvalidDataError(f"the objective returned {number}, expected a finite number")
    return number


def _described(error: BaseException) -> str:
    if isinstance(error, InvalidDataError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"[:SHOWN]


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    main()
