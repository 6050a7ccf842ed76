"""Loads cases ahead of their turn, as many at a time as the memory allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
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


def read_ahead(
    load: Callable[[Files], Loaded],
    cases: Mapping[str, Files],
    *,
    workers: int,
    memory_bytes: int,
) -> Iterator[tuple[str, Future[Loaded]]]:
    """Yields the cases in their order, each when it is loaded.

    How much memory a case takes is judged by its files and by the cases that were loaded before,
    so that the first case is loaded alone.

    Args:
        load: Reads a case; called in threads.
        cases: Case → files.
        workers: Threads.
        memory_bytes: What the cases that wait for their turn may take; 0 loads each at its turn.
    """
    todo = deque(cases.items())
    waiting: deque[_Waiting[Loaded]] = deque()
    bytes_per_file_byte = 0.0

    def need(item: _Waiting[Loaded]) -> float:
        return _peak_bytes(item.future) or bytes_per_file_byte * _file_bytes(item.files)

    with ThreadPoolExecutor(max(1, workers)) as readers:

        def start() -> None:
            name, files = todo.popleft()
            future = readers.submit(load, files)
            waiting.append(_Waiting(name=name, files=files, future=future))

        while todo or waiting:
            if not waiting:
                start()
            turn = waiting.popleft()
            wait([turn.future])
            for item in (turn, *waiting):
                ratio = _peak_bytes(item.future) / _file_bytes(item.files)
                bytes_per_file_byte = max(bytes_per_file_byte, ratio)
            left = memory_bytes - sum(map(need, waiting))
            while todo and bytes_per_file_byte and len(waiting) < workers:
                left -= bytes_per_file_byte * _file_bytes(todo[0][1])
                if left < 0:
                    break
                start()
            yield turn.name, turn.future


def _peak_bytes(future: Future[Loaded]) -> int:
    """What a case took that is loaded, else 0."""
    if not future.done() or future.cancelled() or future.exception() is not None:
        return 0
    return future.result().peak_bytes


def _file_bytes(files: Files) -> int:
    try:
        return max(1, sum(path.stat().st_size for path in files))
    except OSError:  # reading it says why
        return 1
