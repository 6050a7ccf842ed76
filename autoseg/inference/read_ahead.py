"""Loads cases ahead of their turn, as many at a time as the memory allows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

Files = tuple[Path, ...]


class Sized(Protocol):
    """Something that says what it took to make it."""

    @property
    def peak_bytes(self) -> int:
        """Memory that loading it took, what it still holds included."""


Loaded = TypeVar("Loaded", bound=Sized)


@dataclass(frozen=True, kw_only=True)
class _Waiting(Generic[Loaded]):
    name: str
    files: Files
    future: Future[Loaded]

    @property
    def peak_bytes(self) -> int:
        """What the case took if it is loaded, else 0."""
        future = self.future
        if not future.done() or future.cancelled() or future.exception() is not None:
            return 0
        return future.result().peak_bytes


class _Estimate:
    """How much memory cases take, by their files and by the cases that were loaded before."""

    def __init__(self) -> None:
        self._per_file_byte = 0.0

    def learn(self, cases: Iterable[_Waiting[Loaded]]) -> None:
        """Takes note of what cases took that are loaded."""
        for case in cases:
            ratio = case.peak_bytes / _file_bytes(case.files)
            self._per_file_byte = max(self._per_file_byte, ratio)

    def need(self, files: Files) -> float:
        """What a case should take; infinitely much where none was loaded yet."""
        return self._per_file_byte * _file_bytes(files) if self._per_file_byte else math.inf


def read_ahead(
    load: Callable[[Files], Loaded],
    cases: Mapping[str, Files],
    *,
    workers: int,
    memory_bytes: int,
) -> Iterator[tuple[str, Future[Loaded]]]:
    """Yields the cases in their order, each when it is loaded; the first one is loaded alone.

    Args:
        load: Reads a case; called in threads.
        cases: Case → files.
        workers: Threads.
        memory_bytes: What the cases that wait for their turn may take; 0 loads each at its turn.
    """
    todo = deque(cases.items())
    waiting: deque[_Waiting[Loaded]] = deque()
    estimate = _Estimate()
    with ThreadPoolExecutor(max(1, workers)) as readers:
        while todo or waiting:
            if not waiting:
                waiting.append(_start(readers, load, *todo.popleft()))
            turn = waiting.popleft()
            wait([turn.future])
            estimate.learn((turn, *waiting))
            left = memory_bytes - sum(
                item.peak_bytes or estimate.need(item.files) for item in waiting
            )
            while todo and len(waiting) < workers and (need := estimate.need(todo[0][1])) <= left:
                left -= need
                waiting.append(_start(readers, load, *todo.popleft()))
            yield turn.name, turn.future


def _start(
    readers: ThreadPoolExecutor, load: Callable[[Files], Loaded], name: str, files: Files
) -> _Waiting[Loaded]:
    return _Waiting(name=name, files=files, future=readers.submit(load, files))


def _file_bytes(files: Files) -> int:
    try:
        return max(1, sum(path.stat().st_size for path in files))
    except OSError:  # reading it says why
        return 1
