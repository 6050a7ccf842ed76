"""Feeds a training through batchgenerators' augmenters, or with our own batches."""

from __future__ import annotations

import logging
import multiprocessing
import queue
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from autoseg.augmentation import AUGMENTATIONS
from autoseg.augmentation.transforms import Entries, TransformChain
from autoseg.errors import AutosegError
from autoseg.parallel import child_environment
from autoseg.schema.plan import Configuration
from autoseg.targets import TARGETS
from autoseg.targets.batch import stack_targets
from autoseg.training.batches import AHEAD, Batch, BatchMaker, prefetch
from autoseg.training.patch_loader import (
    ERROR,
    GENERATOR,
    IMAGE,
    RATERS,
    Augment,
    PatchLoader,
    Seed,
    SeedQueue,
    global_generators_kept,
)
from autoseg.training.patches import PatchSampler

BatchSource = Callable[[Iterable[Seed]], Generator[Batch, None, None]]
"""Makes a batch per seed, in order; some ahead of their use, closing it gives those up."""


@contextmanager
def batch_source(
    sampler: PatchSampler, configuration: Configuration, device: torch.device, workers: int
) -> Iterator[BatchSource]:
    """Gives the batches that a plan's augmentation makes.

    Args:
        sampler: Draws the patches.
        configuration: Batch size, labels and augmentation.
        device: Where the network is trained.
        workers: Threads or processes that make batches; 0 makes each when it is wanted.
    """
    make_chain = AUGMENTATIONS[configuration.training.augmentation].chain
    if make_chain is None:
        maker = BatchMaker(sampler, configuration, device, augment=True)
        yield lambda seeds: prefetch(maker, seeds, workers)
        return
    augmenter = Augmenter(sampler, configuration, make_chain(configuration), device, workers)
    try:
        yield augmenter.batches
    finally:
        augmenter.close()


class Augmenter:
    """Batches from batchgenerators' augmenters, whose processes last for a whole training.

    A process gets the seeds of its batches from us, in turn, and batchgenerators collects the
    batches in the same order. So neither the number of processes nor an interruption changes what
    is drawn.

    Args:
        sampler: Draws the patches.
        configuration: Batch size and labels.
        chain: How batches are augmented.
        device: Where the network is trained.
        workers: Processes; 0 makes each batch in this one when it is wanted.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        configuration: Configuration,
        chain: TransformChain,
        device: torch.device,
        workers: int,
    ) -> None:
        self.device = device
        self.workers = workers
        self._labels = configuration.labels
        self._make_target = TARGETS[configuration.training.target]
        self._asked = 0
        self._given_up = 0
        augment = Augment(configuration, chain)
        context = multiprocessing.get_context("spawn")
        self._seeds: list[SeedQueue] = (
            [context.SimpleQueue() for _ in range(workers)] if workers else [queue.SimpleQueue()]
        )
        if workers:
            sampler = sampler.with_own_cache(workers)
        loader = PatchLoader(sampler, configuration, chain, self._seeds)
        self._augmenter = _start(loader, augment, workers) if workers else _single(loader, augment)

    def batches(self, seeds: Iterable[Seed]) -> Generator[Batch, None, None]:
        """Makes one batch per seed, in order."""
        ahead = AHEAD + self.workers - 2 if self.workers else 0
        waiting = 0
        try:
            for seed in seeds:
                self._seeds[self._asked % len(self._seeds)].put(list(seed))
                self._asked += 1
                waiting += 1
                if waiting > ahead:
                    waiting -= 1
                    yield self._receive()
            while waiting:
                waiting -= 1
                yield self._receive()
        finally:
            self._given_up += waiting

    def close(self) -> None:
        """Ends the processes."""
        for seeds in self._seeds:
            seeds.put(None)
        with _root_logger_kept():
            if self.workers:
                self._augmenter._finish()
            self._augmenter = iter(())  # its destructor logs, too

    def _receive(self) -> Batch:
        while self._given_up:
            self._given_up -= 1
            self._next()
        entries = self._next()
        if ERROR in entries:
            raise AutosegError(entries[ERROR])
        generator = entries[GENERATOR]
        targets = [
            self._make_target(
                torch.from_numpy(raters.astype(np.int64)).to(self.device), self._labels, generator
            )
            for raters in entries[RATERS]
        ]
        target, valid_mask = stack_targets(targets)
        image = torch.from_numpy(entries[IMAGE]).to(self.device)
        return Batch(image=image, target=target, valid_mask=valid_mask)

    def _next(self) -> Entries:
        if not self.workers:
            with global_generators_kept():
                return next(self._augmenter)
        try:
            with _root_logger_kept():
                return next(self._augmenter)
        except RuntimeError:
            raise AutosegError(
                "A process that makes batches ended, most likely for lack of memory; what it "
                f"printed stands above. Try again with --workers {max(1, self.workers // 2)}."
            ) from None


def _single(loader: PatchLoader, augment: Augment) -> Any:
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

    return SingleThreadedAugmenter(loader, augment)


def _start(loader: PatchLoader, augment: Augment, workers: int) -> Any:
    """Starts the processes."""
    from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter

    with _spawning(), child_environment(), _root_logger_kept():
        augmenter = MultiThreadedAugmenter(loader, augment, workers, seeds=[0] * workers)
        augmenter.restart()
    return augmenter


@contextmanager
def _spawning() -> Iterator[None]:
    """Makes batchgenerators, which takes the default, start fresh processes.

    A copy of a process in which torch computes with several threads can wait for ever.
    """
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Keeps batchgenerators from giving the root logger a handler, which would repeat our lines.

    It logs by functions of the module, and those make a handler where there is none.
    """
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
