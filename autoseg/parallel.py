"""Work on many cases at a time: one interface, local processes behind it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from tqdm import tqdm

from autoseg.errors import AutosegError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PRELOAD = ["autoseg.datasets.examination", "autoseg.preprocessing.store"]
FEW_ITEMS = 3
"""So few items are done before a process has started."""


def default_workers() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_unordered(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
) -> Iterator[tuple[Item, Result]]:
    """Applies a function to all items, in processes, with a progress bar.

    At most two items per worker are under way, so that memory does not grow with the data set.

    Args:
        function: Picklable; runs in another process where `workers` > 1.
        items: Picklable inputs.
        workers: Number of processes; 1 works in this one.
        description: Text of the progress bar.

    Yields:
        (item, result) in the order in which they are finished.

    Raises:
        AutosegError: A worker was killed.
    """
    with tqdm(total=len(items), desc=description, unit="case", disable=None) as bar:
        if workers <= 1 or len(items) <= FEW_ITEMS:
            for item in items:
                result = function(item)
                bar.update()
                yield item, result
            return
        for item, result in _in_processes(function, items, min(workers, len(items))):
            bar.update()
            yield item, result


def _in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    queue = iter(items)
    with child_environment():  # a helper process of the queues starts with the executor already
        executor = ProcessPoolExecutor(workers, mp_context=_context(), initializer=end_with_parent)
    try:
        pending: dict[Future[Result], Item] = {}
        with child_environment():
            for item in islice(queue, 2 * workers):
                pending[executor.submit(function, item)] = item
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                item = pending.pop(future)
                result = future.result()
                for following in islice(queue, 1):
                    pending[executor.submit(function, following)] = following
                yield item, result
    except BrokenProcessPool:
        raise AutosegError(
            "A worker process was killed, most likely for lack of memory. "
            f"Try again with fewer: --workers {max(1, workers // 2)}."
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def warm_up() -> None:
    """Starts importing in the process that workers are forked from, beside one's own imports."""
    if sys.platform == "linux" and default_workers() > 1:
        from multiprocessing import forkserver  # not there on every system

        _context()
        with child_environment():
            forkserver.ensure_running()


def _context() -> multiprocessing.context.BaseContext:
    """Fork server where there is one: clean processes that have the imports done already."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        return context
    return multiprocessing.get_context("spawn")


def end_with_parent() -> None:
    """Ends this worker when the process that wanted its work has ended, killed or not."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def child_environment() -> Iterator[None]:
    """Environment of processes that start now.

    Numerical libraries use one thread in them, and no module is imported from the working
    directory, which may be a data set from anywhere.
    """
    changed = {**dict.fromkeys(_THREAD_LIMITS, "1"), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
