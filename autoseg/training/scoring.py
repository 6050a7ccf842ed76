"""Scores of a network in training on validation patches, and which epoch was the best."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch
from torch import Tensor, nn

from autoseg.losses import Loss
from autoseg.losses.dice_cross_entropy import is_per_channel
from autoseg.precision import Precision, memory_format
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store
from autoseg.schema.plan import Configuration
from autoseg.targets.soft import harden
from autoseg.training.batches import Batch, BatchMaker, prefetch
from autoseg.training.clock import Clock
from autoseg.training.patches import PatchSampler

VALIDATION_SEED = 1_000_003
MAX_VALIDATION_BATCHES = 50
VALIDATION_BATCH = {2: 8, 3: 2}


class PatchScorer:
    """Scores networks on the same patches in every epoch.

    Args:
        configuration: Network, patches, seed.
        store: Preprocessed cases.
        cases: Cases that the patches come from.
        previous_store: Predictions of the previous stage, for configurations that have one.
        device: Where patches are made.
        workers: Threads that make batches.
    """

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        cases: tuple[str, ...],
        previous_store: StageStore | None,
        *,
        device: torch.device,
        workers: int,
    ) -> None:
        self.configuration = configuration
        self.workers = workers
        self.memory_format = memory_format(device, configuration.dimensions)
        batch_size = min(configuration.batch_size, VALIDATION_BATCH[configuration.dimensions])
        small = replace(configuration, batch_size=batch_size)
        sampler = PatchSampler(store, cases, configuration, previous_store)
        self._maker = BatchMaker(sampler, small, device, augment=False)
        steps = configuration.training.steps_per_epoch
        self.num_batches = min(MAX_VALIDATION_BATCHES, max(1, steps // 5))

    @torch.inference_mode()
    def score(
        self, network: nn.Module, loss: Loss, precision: Precision, clock: Clock
    ) -> tuple[float, tuple[float | None, ...]]:
        """Mean loss, and Dice per class over all patches (None where a class did not occur).

        Args:
            network: Is put into evaluation mode.
            loss: Loss of the finest logits.
            precision: Number format.
            clock: Ends the validation where it takes too much of a time budget.
        """
        begun = time.perf_counter()
        network.eval()
        labels = self.configuration.labels
        counts = torch.zeros(3, len(labels.class_names), dtype=torch.float64)
        losses = []
        seed = self.configuration.seed
        seeds = [(seed, VALIDATION_SEED, index) for index in range(self.num_batches)]
        batches = prefetch(self._maker, seeds, self.workers)
        for batch in batches:
            with precision.autocast():
                logits = network(batch.image.contiguous(memory_format=self.memory_format))[0]
                losses.append(float(loss(logits, batch.target, batch.valid_mask)))
            counts += confusion(logits, batch, labels.has_regions).cpu()
            if clock.is_late(begun):
                break
        batches.close()
        both, predicted, reference = counts.tolist()
        dice = tuple(
            2 * hit / (have + want) if have + want else None
            for hit, have, want in zip(both, predicted, reference, strict=True)
        )
        return sum(losses) / len(losses), dice


class BestScore:
    """The best validation Dice so far, smoothed as nnU-Net smooths it.

    Args:
        best: The best smoothed score so far.
        smoothed: The present smoothed score.
    """

    def __init__(self, best: float = -math.inf, smoothed: float | None = None) -> None:
        self.best = best
        self.smoothed = smoothed

    def update(self, score: float | None) -> bool:
        """Whether the score of an epoch makes it the best; epochs without one change nothing."""
        if score is None:
            return False
        self.smoothed = score if self.smoothed is None else 0.9 * self.smoothed + 0.1 * score
        if self.smoothed <= self.best:
            return False
        self.best = self.smoothed
        return True


def confusion(logits: Tensor, batch: Batch, has_regions: bool) -> Tensor:
    """Voxels that are [in both, predicted, in the reference], each per foreground class: [3, c].

    A soft target counts as the hard one that it is nearest to.
    """
    target, valid_mask = batch.target, batch.valid_mask
    if target.is_floating_point():
        target = harden(target, has_regions=has_regions)
    if has_regions:
        predicted, reference = logits > 0, target.bool()
    else:
        classes = torch.arange(1, logits.shape[1], device=logits.device)
        shape = [1, -1] + [1] * (logits.ndim - 2)
        predicted = logits.argmax(1)[:, None] == classes.view(shape)
        reference = target[:, None] == classes.view(shape)
        if is_per_channel(valid_mask):
            valid_mask = valid_mask[:, 1:]
    if valid_mask is not None:
        predicted, reference = predicted & valid_mask, reference & valid_mask
    axes = [0, *range(2, logits.ndim)]
    return torch.stack(
        [(predicted & reference).sum(axes), predicted.sum(axes), reference.sum(axes)]
    ).double()
