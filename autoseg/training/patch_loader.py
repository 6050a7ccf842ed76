"""What batchgenerators' processes run: patches are drawn, read and augmented, a batch per seed."""

from __future__ import annotations

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
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the training decides what an interrupt means
        end_with_parent()

    def __iter__(self) -> Iterator[Entries]:
        return self

    def __next__(self) -> Entries:
        """The patches of the next seed: data, seg, and the generator for what is drawn later."""
        seed = None if self._is_closed else self._seeds[self._number].get()
        if seed is None:
            self._is_closed = True
            raise StopIteration
        seed_everything(seed)
        generator = np.random.default_rng(list(seed))
        try:
            entries = self._read(generator)
        except AutosegError as error:
            return {ERROR: str(error)}
        return {**entries, "generator": generator}

    def _read(self, generator: np.random.Generator) -> Entries:
        size = self.configuration.batch_size
        first_forced = round(size * (1 - self.configuration.training.foreground_fraction))
        patches = []
        for index in range(size):
            name, case, centre = self.sampler.draw(generator, foreground=index >= first_forced)
            patches.append(self.sampler.read(name, case, centre, None, self.chain.source_size))
        num_raters = [len(patch.labels) for patch in patches]
        parts = [self._parts(patch, max(num_raters)) for patch in patches]
        images, labels = zip(*parts, strict=True)
        return {"data": np.stack(images), "seg": np.stack(labels), "num_raters": num_raters}

    def _parts(
        self, patch: Patch, num_maps: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """Image, and the raters' labels with those of the previous stage behind them.

        Cases may have fewer raters than others of the batch: their first one fills up, and is
        taken away again.
        """
        labels = patch.labels.astype(np.int32)
        labels = labels[[index if index < len(labels) else 0 for index in range(num_maps)]]
        if self.chain.masked_channels:
            outside = outside_mask(patch.image, labels.max(axis=0), self.chain.masked_channels)
            labels[:, outside] = -1
        if patch.previous is None:
            return patch.image, labels
        if patch.previous.dtype.kind == "f":  # probabilities replace the image
            return patch.previous.astype(np.float32), labels
        return patch.image, np.concatenate([labels, patch.previous.astype(np.int32)])


class Augment:
    """Augments the patches of a `PatchLoader`: batchgenerators' kind of transform.

    Args:
        configuration: Labels of the previous stage.
        chain: How.
    """

    def __init__(self, configuration: Configuration, chain: TransformChain) -> None:
        self.configuration = configuration
        self.chain = chain

    def __call__(self, **entries: Any) -> Entries:
        """Makes image [b, c, *patch] float32 and labels [b, raters, *patch] of data and seg."""
        if ERROR in entries:
            return entries
        generator, num_raters = entries.pop("generator"), entries.pop("num_raters")
        done = self.chain(entries)
        image = done["data"].astype(np.float32, copy=False)
        seg = done["seg"].astype(np.int32)
        num_maps = max(num_raters)
        if seg.shape[1] > num_maps:
            masks = np.stack([self._previous(generator, item[num_maps]) for item in seg])
            image = np.concatenate([image, masks.astype(np.float32)], axis=1)
        return {
            "image": image,
            "labels": np.ascontiguousarray(seg[:, :num_maps]),
            "num_raters": num_raters,
            "target_seed": int(generator.integers(2**63)),
        }

    def _previous(
        self, generator: np.random.Generator, labels: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        masks = one_hot(labels, self.configuration.labels.num_indices)
        return disturb(generator, masks, class_probability=self.chain.previous_class_probability)


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
