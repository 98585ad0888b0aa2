"""Pickles in which only listed globals may appear, and for each stands what the list gives, not what the file asks for.

Nothing that emprox writes is a pickle. This is for small files of others that come in no other form.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any, NoReturn

from emprox.errors import CorruptFileError

__all__ = ["unpickle_allowed"]


def unpickle_allowed(data: bytes, allowed: Mapping[tuple[str, str], Any], name: str) -> Any:
    """Unpickle bytes with a list of the only globals that may appear, each replaced by the object given for it.

    Parameters
    ----------
    data : bytes
        The pickle.
    allowed : mapping of (module, name) to object
        What stands for each global; nothing is imported.
    name : str
        What is read, in error messages.

    Raises
    ------
    CorruptFileError
        If another global appears, or the pickle is damaged.
    """
    try:
        _check_memo(data)
        return _AllowList(data, allowed).load()
    except Exception as error:  # a damaged pickle raises almost anything
        raise CorruptFileError(f"{name} cannot be unpickled safely: {error}; remove it and get it again") from error


def _check_memo(data: bytes) -> None:
    """Raise if an object is to be remembered at a place beyond what the file can hold: Python takes memory for all before it."""
    for opcode, place, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "LONG_BINPUT") and not 0 <= int(place or 0) <= len(data):
            raise pickle.UnpicklingError(f"it remembers an object at place {place} and has {len(data)} bytes")


class _AllowList(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which is not allowed")
        return self._allowed[module_name, global_name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside the file, which is not allowed")
