"""What batchgenerators' processes run: patches are drawn, read and augmented, a batch per seed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autoseg.augmentation.previous_stage import disturb
from autoseg.augmentation.transforms import Entries, TransformChain, outside_mask
from autoseg.errors import AutosegError
from autoseg.parallel import end_with_parent
from autoseg.preprocessing.case import one_hot
from autoseg.schema.plan import Configuration
from autoseg.training.patches import Patch, PatchSampler

Seed = Sequence[int]
ERROR = "error"
"""Entry of a batch that could not be made: the message."""
SAMPLES, GENERATOR, IMAGE, RATERS = "samples", "generator", "image", "raters"
"""Entries of a batch before and after it is augmented."""


class SeedQueue(Protocol):
    """Where a process gets its seeds from; None ends it."""

    def get(self) -> Seed | None:
        """Waits for the next one."""

    def put(self, seed: Seed | None) -> None:
        """Adds one."""


class PatchLoader:
    """Draws and reads the patches of a batch per seed: batchgenerators' kind of data loader.

    Everything random that follows in this process, batchgenerators' transforms included, depends
    on the seed of the batch and on nothing else.

    Args:
        sampler: Draws the patches.
        configuration: Batch size and labels.
        chain: How batches are augmented, and how much is read for it.
        seeds: A queue per process.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        configuration: Configuration,
        chain: TransformChain,
        seeds: Sequence[SeedQueue],
    ) -> None:
        self.sampler = sampler
        self.configuration = configuration
        self.chain = chain
        self._seeds = tuple(seeds)
        self._number = 0
        self._is_closed = False

    def set_thread_id(self, number: int) -> None:
        """Called by batchgenerators once in every process that it starts."""
        self._number = number
        if hasattr(os, "setpgrp"):
            os.setpgrp()  # what a terminal or a time limit sends is for the training to handle
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_with_parent()

    def __iter__(self) -> Iterator[Entries]:
        return self

    def __next__(self) -> Entries:
        """The patches of the next seed, and the generator for what is drawn later."""
        seed = None if self._is_closed else self._seeds[self._number].get()
        if seed is None:
            self._is_closed = True
            raise StopIteration
        seed_everything(seed)
        generator = np.random.default_rng(list(seed))
        try:
            return {SAMPLES: list(self._read(generator)), GENERATOR: generator}
        except AutosegError as error:
            return {ERROR: str(error)}

    def _read(self, generator: np.random.Generator) -> Iterator[Entries]:
        size = self.configuration.batch_size
        first_forced = round(size * (1 - self.configuration.training.foreground_fraction))
        for index in range(size):
            name, case, centre = self.sampler.draw(generator, foreground=index >= first_forced)
            yield self._entries(self.sampler.read(name, case, centre, None, self.chain.source_size))

    def _entries(self, patch: Patch) -> Entries:
        """A sample as batchgenerators has it."""
        image, seg = patch.image, patch.labels.astype(np.int32)
        if self.chain.masked_channels:
            seg[:, outside_mask(image, seg, self.chain.masked_channels)] = -1
        if patch.previous is not None and patch.previous.dtype.kind == "f":
            image = patch.previous.astype(np.float32)  # probabilities replace the image
        elif patch.previous is not None:
            seg = np.concatenate([seg, patch.previous.astype(np.int32)])
        return {"data": image[None].copy(), "seg": seg[None]}


class Augment:
    """Augments the patches of a `PatchLoader`: batchgenerators' kind of transform.

    Args:
        configuration: Labels of the previous stage.
        chain: How.
    """

    def __init__(self, configuration: Configuration, chain: TransformChain) -> None:
        self.num_indices = configuration.labels.num_indices
        stage = configuration.previous
        self.has_masks = stage is not None and stage.kind != "probabilities"
        self.chain = chain

    def __call__(self, **batch: Any) -> Entries:
        """Makes the image [b, c, *patch] float32 and the raters' labels, [r, *patch] each."""
        if ERROR in batch:
            return batch
        generator = batch[GENERATOR]
        images, raters = zip(
            *(self._augment(generator, entries) for entries in batch[SAMPLES]), strict=True
        )
        return {IMAGE: np.stack(images), RATERS: raters, GENERATOR: generator}

    def _augment(
        self, generator: np.random.Generator, entries: Entries
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        done = self.chain(entries)
        image, seg = done["data"][0].astype(np.float32), done["seg"][0].astype(np.uint16)
        if self.has_masks:
            seg, previous = seg[:-1], seg[-1]
            masks = disturb(
                generator,
                one_hot(previous, self.num_indices),
                class_probability=self.chain.previous_class_probability,
            )
            image = np.concatenate([image, masks.astype(np.float32)])
        return image, seg


def seed_everything(seed: Seed) -> None:
    """Seeds the global generators that batchgenerators' transforms draw from."""
    state = np.random.SeedSequence(list(seed)).generate_state(8)
    np.random.seed(state)
    random.seed(state.tobytes())


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Restores the global generators, which are the caller's, at the end."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
