"""Large pickles of plain data: dicts, lists, tuples, texts and numbers, read without Python's unpickler.

None of the opcodes understood here imports, calls or builds anything, so there is nothing that a file could make the reader do.
A list of floats becomes an array while it is read, many times as fast as float by float and in a quarter of the memory: that
makes the learning curves of a whole benchmark readable in a few hundred megabytes.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emprox.errors import CorruptFileError

__all__ = ["read_plain_pickle"]

BLOCK = 1 << 20
LONGEST_TEXT = 1 << 16
LONGEST_RUN = 4096
FLOAT = pickle.BINFLOAT[0]
FLOAT_SIZE = 9
"""Bytes of one float: the opcode and eight of the number, the most significant first."""


def read_plain_pickle(file: BinaryIO, name: str, leave_out: Callable[[str], bool] = lambda key: False) -> Any:
    """Return the content of a pickle of plain data, protocols 2 to 5; lists of floats come as float64 arrays.

    Parameters
    ----------
    file : binary file
        Read once, from its position on.
    name : str
        What is read, in error messages.
    leave_out : callable
        Asked for each text key of each dict; the values of those that it names are dropped as soon as they are complete.

    Raises
    ------
    CorruptFileError
        If anything but plain data appears, or the pickle is damaged or cut short.
    """
    try:
        return _Reader(file, leave_out).read()
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, EOFError, RecursionError, struct.error) as error:
        raise CorruptFileError(f"{name} is not a pickle of plain data or is damaged: {error}") from error


class _Run:
    """Floats that follow each other in a list, as one entry of the stack."""

    __slots__ = ("values",)

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values


class _Items:
    """A list while it is read: runs of floats as long as it holds nothing else, or its items."""

    __slots__ = ("items", "runs")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.runs: list[NDArray[np.float64]] = []

    def extend(self, entries: list[Any]) -> None:
        if not self.items and all(isinstance(entry, _Run) for entry in entries):
            self.runs += [entry.values for entry in entries]
            return
        before = [value for run in self.runs for value in run.tolist()]
        self.items, self.runs = [*before, *self.items, *_expanded(entries)], []

    def clear(self) -> None:
        self.items, self.runs = [], []

    def finished(self) -> list[Any] | NDArray[np.float64]:
        if self.items and all(type(item) is float for item in self.items):
            self.items, self.runs = [], [np.array(self.items)]
        if len(self.runs) > 1:
            self.runs = [np.concatenate(self.runs)]
        return self.runs[0] if self.runs else self.items


class _Reader:
    """The stack machine of a pickle; a mark puts the stack aside and starts a new one."""

    def __init__(self, file: BinaryIO, leave_out: Callable[[str], bool]) -> None:
        self.file, self.leave_out = file, leave_out
        self.data, self.at = b"", 0
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.shared: set[int] = set()
        self.dropped: dict[int, Any] = {}
        self.results: dict[int, Any] = {}

    def read(self) -> Any:
        stop, actions = pickle.STOP[0], self._actions()
        while (opcode := self._take(1)[0]) != stop:
            if opcode not in actions:
                raise ValueError(f"opcode {bytes([opcode])!r}, which is not one of plain data")
            actions[opcode]()
        return self._finished(self._pop())

    def _actions(self) -> dict[int, Callable[[], Any]]:
        push = self._push
        plain: dict[bytes, Callable[[], Any]] = {
            pickle.PROTO: lambda: self._take(1),
            pickle.FRAME: lambda: self._take(8),
            pickle.NONE: lambda: push(None),
            pickle.NEWTRUE: lambda: push(True),
            pickle.NEWFALSE: lambda: push(False),
            pickle.BININT: lambda: push(self._number("<i", 4)),
            pickle.BININT1: lambda: push(self._number("<B", 1)),
            pickle.BININT2: lambda: push(self._number("<H", 2)),
            pickle.LONG1: lambda: push(int.from_bytes(self._take(self._number("<B", 1)), "little", signed=True)),
            pickle.BINFLOAT: self._floats,
            pickle.SHORT_BINUNICODE: lambda: push(self._text(self._number("<B", 1))),
            pickle.BINUNICODE: lambda: push(self._text(self._number("<I", 4))),
            pickle.BINUNICODE8: lambda: push(self._text(self._number("<Q", 8))),
            pickle.EMPTY_DICT: lambda: push({}),
            pickle.EMPTY_LIST: lambda: push(_Items()),
            pickle.EMPTY_TUPLE: lambda: push(()),
            pickle.MARK: self._mark,
            pickle.APPEND: lambda: self._extend([self._pop()]),
            pickle.APPENDS: lambda: self._extend(self._since_mark()),
            pickle.SETITEM: lambda: self._store([self._pop(), self._pop()][::-1]),
            pickle.SETITEMS: lambda: self._store(_expanded(self._since_mark())),
            pickle.TUPLE: lambda: push(tuple(_expanded(self._since_mark()))),
            pickle.TUPLE1: lambda: self._tuple(1),
            pickle.TUPLE2: lambda: self._tuple(2),
            pickle.TUPLE3: lambda: self._tuple(3),
            pickle.MEMOIZE: lambda: self._memoize(len(self.memo)),
            pickle.BINPUT: lambda: self._memoize(self._number("<B", 1)),
            pickle.LONG_BINPUT: lambda: self._memoize(self._number("<I", 4)),
            pickle.BINGET: lambda: push(self._recall(self._number("<B", 1))),
            pickle.LONG_BINGET: lambda: push(self._recall(self._number("<I", 4))),
        }
        return {opcode[0]: action for opcode, action in plain.items()}

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _take(self, n: int) -> bytes:
        """Return the next n bytes."""
        while len(self.data) - self.at < n:
            block = self.file.read(BLOCK)
            if not block:
                raise EOFError("it ends early")
            self.data, self.at = self.data[self.at :] + block, 0
        self.at += n
        return self.data[self.at - n : self.at]

    def _number(self, form: str, size: int) -> Any:
        return struct.unpack(form, self._take(size))[0]

    def _text(self, size: int) -> str:
        if size > LONGEST_TEXT:
            raise ValueError(f"a text of {size} bytes, expected at most {LONGEST_TEXT}")
        return str(self._take(size), "utf-8", "surrogatepass")

    def _floats(self) -> None:
        """Push a float; directly in a list, push the array of all floats that follow each other in the data at hand."""
        number = self._number(">d", FLOAT_SIZE - 1)
        in_list = bool(self.marked) and bool(self.marked[-1]) and isinstance(self.marked[-1][-1], _Items)
        if not in_list or (self.stack and not isinstance(self.stack[-1], _Run)):
            self.stack.append(number)
            return
        most = min((len(self.data) - self.at) // FLOAT_SIZE, LONGEST_RUN)
        table = np.frombuffer(self.data, np.uint8, most * FLOAT_SIZE, self.at).reshape(most, FLOAT_SIZE)
        others = np.flatnonzero(table[:, 0] != FLOAT)
        run = int(others[0]) if len(others) else most
        self.at += run * FLOAT_SIZE
        following = table[:run, 1:].copy().view(">f8").ravel()
        self.stack.append(_Run(np.concatenate([[number], following])))

    def _pop(self) -> Any:
        """Take the top of the stack; of a run of floats the last one."""
        top = self.stack.pop()
        if not isinstance(top, _Run):
            return top
        if len(top.values) > 1:
            self.stack.append(_Run(top.values[:-1].copy()))
        return float(top.values[-1])

    def _mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], _Items):
            raise ValueError("items of a list without a list")
        self.stack[-1].extend(items)

    def _store(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("entries of a dict without a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str) and self.leave_out(key):
                self._drop(value)
            else:
                target[key] = value

    def _drop(self, value: Any) -> None:
        """Empty a container and those inside that were named once; leaving them out frees nothing, the memo holds on to them."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, (dict, _Items)) and id(value) not in self.shared:
                self.dropped[id(value)] = value
                waiting += value.values() if isinstance(value, dict) else value.items
                value.clear()

    def _tuple(self, n: int) -> None:
        self.stack.append(tuple([self._pop() for _ in range(n)][::-1]))

    def _memoize(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def _recall(self, key: int) -> Any:
        value = self.memo[key]
        if isinstance(value, (dict, _Items)):
            self.shared.add(id(value))
        return value

    def _finished(self, value: Any) -> Any:
        """Return a value with lists in place of `_Items`, or raise if it holds a part that was emptied."""
        if not isinstance(value, (dict, tuple, _Items)):
            return value
        if id(value) in self.dropped:
            raise ValueError("it refers again to a part that was left out")
        if id(value) in self.results:
            return self.results[id(value)]
        if isinstance(value, tuple):
            self.results[id(value)] = tuple([self._finished(item) for item in value])
        elif isinstance(value, dict):
            self.results[id(value)] = value
            for key, item in value.items():
                value[key] = self._finished(item)
        else:
            self.results[id(value)] = items = value.finished()
            if isinstance(items, list):
                items[:] = [self._finished(item) for item in items]
        return self.results[id(value)]


def _expanded(items: list[Any]) -> list[Any]:
    """Return the items with runs replaced by their floats."""
    return [value for item in items for value in (item.values.tolist() if isinstance(item, _Run) else [item])]
