"""Batches: patches are drawn, augmented on the device and stacked, ahead of the training step."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoseg.augmentation import AUGMENTATIONS
from autoseg.augmentation.intensity import draw_intensity
from autoseg.augmentation.previous_stage import disturb
from autoseg.augmentation.rotation import is_flat
from autoseg.augmentation.spatial import draw_matrix, resample
from autoseg.preprocessing.case import one_hot
from autoseg.schema.plan import Configuration
from autoseg.targets import TARGETS
from autoseg.targets.batch import stack_targets
from autoseg.training.patches import Patch, PatchSampler

AHEAD = 3
"""Batches that are made ahead."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One training step's input.

    Attributes:
        image: [b, c, *patch].
        target: [b, *patch] class indices, or [b, c, *patch], see `autoseg.targets`.
        valid_mask: [b, 1 or c, *patch] bool, or None where every voxel is labelled.
    """

    image: Tensor
    target: Tensor
    valid_mask: Tensor | None


class BatchMaker:
    """Makes batches from patches.

    Args:
        sampler: Draws the patches.
        configuration: Batch size, labels and augmentation.
        device: Where patches are augmented.
        augment: False leaves patches as they are (validation).
    """

    def __init__(
        self,
        sampler: PatchSampler,
        configuration: Configuration,
        device: torch.device,
        *,
        augment: bool,
    ) -> None:
        self.sampler = sampler
        self.configuration = configuration
        self.device = device
        self.augmentation = AUGMENTATIONS[
            configuration.training.augmentation if augment else "none"
        ]
        self.mirror_axes = configuration.training.mirror_axes if augment else ()
        self._make_target = TARGETS[configuration.training.target]

    def make(self, rng: np.random.Generator) -> Batch:
        """Makes one batch; the generator decides everything."""
        batch_size = self.configuration.batch_size
        fraction = self.configuration.training.foreground_fraction
        first_forced = round(batch_size * (1 - fraction))
        images, targets = [], []
        for index in range(batch_size):
            image, raters = self._sample(rng, foreground=index >= first_forced)
            images.append(image)
            targets.append(self._make_target(raters, self.configuration.labels, rng))
        target, valid_mask = stack_targets(targets)
        return Batch(image=torch.stack(images), target=target, valid_mask=valid_mask)

    def _sample(self, rng: np.random.Generator, *, foreground: bool) -> tuple[Tensor, Tensor]:
        name, case, centre = self.sampler.draw(rng, foreground=foreground)
        patch_size = self.sampler.patch_size
        matrix = draw_matrix(rng, patch_size) if self.augmentation.spatial else None
        parts = self._transform(self.sampler.read(name, case, centre, matrix))
        for axis in self.mirror_axes:
            if rng.random() < 0.5:
                parts = tuple(part.flip(axis + 1) for part in parts)
        image, raters, *previous = parts
        if self.augmentation.intensity:
            # The slices that a 2.5-dimensional network sees are one channel here.
            channels = torch.unflatten(image, 0, (-1, self.sampler.num_slices))
            if self.sampler.num_slices == 1:
                channels = channels[:, 0]
            drawn = draw_intensity(rng, len(channels), len(patch_size), flat=is_flat(patch_size))
            for channel, operation in drawn:
                channels[channel] = operation(channels[channel])
        for part in previous:
            image = self._join(rng, image, part)
        return image, raters.long()

    def _transform(self, patch: Patch) -> tuple[Tensor, ...]:
        """Image, raters' labels and predictions of the previous stage: [c, *patch] each."""
        parts = [(torch.from_numpy(patch.image), False)]
        parts.append((torch.from_numpy(patch.labels.astype(np.int32)), True))
        if patch.previous is not None:
            is_labels = patch.previous.dtype.kind != "f"
            kind = np.int32 if is_labels else np.float32
            parts.append((torch.from_numpy(patch.previous.astype(kind)), is_labels))
        if patch.matrix is None:
            return tuple(part.to(self.device, copy=True) for part, _ in parts)
        size = self.sampler.patch_size
        return tuple(
            resample(part.to(self.device).float(), patch.matrix, size, labels=is_labels)
            for part, is_labels in parts
        )

    def _join(self, rng: np.random.Generator, image: Tensor, previous: Tensor) -> Tensor:
        """The image with the labels of the previous stage, or its probabilities instead."""
        stage = self.configuration.previous
        if stage is None or stage.kind == "probabilities":
            return previous
        masks = one_hot(previous[0].cpu().numpy(), self.configuration.labels.num_indices)
        if self.augmentation.spatial:
            masks = disturb(rng, masks)
        return torch.cat((image, torch.from_numpy(masks).to(image.device, image.dtype)))


def prefetch(
    maker: BatchMaker, seeds: Iterable[Sequence[int]], workers: int
) -> Generator[Batch, None, None]:
    """Makes one batch per seed, in order, some ahead of their use.

    Every batch has a generator of its own, so that neither the number of workers nor an
    interruption changes what is drawn.

    Args:
        maker: Makes the batches.
        seeds: Seed of each batch.
        workers: Threads; 0 makes each batch when it is wanted, which is faster on CPUs: two
            threads that both compute with all processors wait for each other.
    """
    if workers == 0:
        for seed in seeds:
            yield maker.make(np.random.default_rng(list(seed)))
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as executor:
        waiting: deque[Future[Batch]] = deque()
        try:
            for seed in seeds:
                waiting.append(executor.submit(maker.make, np.random.default_rng(list(seed))))
                if len(waiting) >= AHEAD + workers - 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
