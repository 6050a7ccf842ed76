"""The training loop; it knows tensors and clocks, not file formats of images."""

from __future__ import annotations

import copy
import itertools
import logging
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from autoseg.architectures import build_network
from autoseg.checkpoint import Checkpoint, Provenance, load_checkpoint, save_checkpoint
from autoseg.errors import AutosegError, UsageError
from autoseg.losses import LOSSES
from autoseg.losses.deep_supervision import DeepSupervision
from autoseg.optimiser import SCHEDULES, build_optimiser, set_learning_rate
from autoseg.precision import Precision, memory_format
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store
from autoseg.schema.plan import Configuration
from autoseg.training import history as records
from autoseg.training.batches import Batch, BatchMaker, prefetch
from autoseg.training.history import Epoch
from autoseg.training.patches import PatchSampler
from autoseg.workspace import Run

logger = logging.getLogger(__name__)

VALIDATION_SEED = 1_000_003
MAX_VALIDATION_BATCHES = 50
VALIDATION_BATCH = {2: 8, 3: 2}
VALIDATION_SHARE = 0.03
"""Share of a time budget that one validation may take."""
PLOT_EVERY_S = 60.0
FINISH_RESERVE_S = 2.0
"""Seconds of a time budget that are kept for the last validation, checkpoint and plot."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be trained.

    Attributes:
        configuration: Network, patches, schedule, seed.
        store: Preprocessed cases.
        train_cases: Cases to learn from.
        val_cases: Cases to validate on.
        provenance: For the model file; steps and score are filled in.
        run: Where everything is written.
        previous_store: Predictions of the previous stage, for configurations that have one.
    """

    configuration: Configuration
    store: Store
    train_cases: tuple[str, ...]
    val_cases: tuple[str, ...]
    provenance: Provenance
    run: Run
    previous_store: StageStore | None = None


class Trainer:
    """Trains one network.

    Args:
        task: What is to be trained.
        device: cpu, cuda or mps.
        workers: Threads that make batches.
    """

    def __init__(self, task: Task, *, device: str, workers: int = 0) -> None:
        self.task = task
        self.device = torch.device(device)
        self.workers = workers
        configuration = task.configuration
        self.plan = configuration.training
        torch.manual_seed(configuration.seed)
        network = build_network(
            configuration.network, configuration.in_channels, configuration.labels.num_outputs
        )
        self.memory_format = memory_format(self.device, configuration.dimensions)
        self.network = network.to(self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network) if self.plan.weight_average else None
        self.optimiser = build_optimiser(self.network, self.plan)
        loss = LOSSES[self.plan.loss](batch_dice=self.plan.batch_dice)
        self.loss = DeepSupervision(loss)
        self.precision = Precision(self.device)
        self.history: list[Epoch] = []
        self.step = 0
        self.elapsed_before = 0.0
        self.best_score = -math.inf
        self.smoothed: float | None = None

    def resume(self) -> None:
        """Goes on from the last checkpoint of the run.

        Raises:
            UsageError: The configuration has changed since.
        """
        checkpoint = load_checkpoint(self.task.run.last)
        if checkpoint.configuration != self.task.configuration:
            raise UsageError(
                f"{self.task.run.last}: was trained with another configuration. "
                "Start anew with --overwrite, or resume without new options."
            )
        state = checkpoint.training
        self.network.load_state_dict(state["weights"])
        if self.average is not None:
            self.average.load_state_dict(checkpoint.weights)
        self.optimiser.load_state_dict(state["optimiser"])
        self.precision.load_state(state["scaler"])
        self.history = records.from_rows(state["history"])
        self.step = state["step"]
        self.elapsed_before = state["elapsed_s"]
        self.best_score = state["best_score"]
        self.smoothed = state["smoothed"]
        torch.set_rng_state(state["random"])
        logger.info("Resumed after epoch %d, step %d.", len(self.history), self.step)

    def fit(self, started: float | None = None) -> Checkpoint:
        """Trains to the end of the schedule.

        Args:
            started: `time.perf_counter()` when the budget began, now where it is None.

        Returns:
            The final model, which is also written to the run's folder.
        """
        self.started = time.perf_counter() if started is None else started
        task = self.task
        sampler = PatchSampler(
            task.store, task.train_cases, task.configuration, task.previous_store
        )
        maker = BatchMaker(sampler, self.task.configuration, self.device, augment=True)
        last_plot = -math.inf
        total = 100.0
        with tqdm(total=total, desc="Training", unit="%", bar_format=_BAR, disable=None) as bar:
            while not self._is_finished():
                row = self._epoch(maker, bar)
                self.history.append(row)
                is_best = self._update_best(row)
                self._save(is_best=is_best)
                if time.perf_counter() - last_plot > PLOT_EVERY_S:
                    last_plot = time.perf_counter()
                    self._plot()
                self._report(row)
        self._plot()
        final = self._checkpoint(with_state=False)
        save_checkpoint(self.task.run.final, final)
        logger.info("Trained %d steps in %.1f s.", self.step, self.elapsed())
        return final

    def elapsed(self) -> float:
        """Seconds of training so far, those before an interruption included."""
        return self.elapsed_before + time.perf_counter() - self.started

    def _is_finished(self) -> bool:
        budget = self.plan.time_budget_s
        if budget is None:
            return len(self.history) >= self.plan.epochs
        return bool(self.history) and self._time_left() <= 0

    def _time_left(self) -> float:
        """Seconds until the last step of a time budget must have ended."""
        assert self.plan.time_budget_s is not None
        reserve = min(FINISH_RESERVE_S, 0.05 * self.plan.time_budget_s)
        return self.plan.time_budget_s - reserve - self.elapsed()

    def _slice_is_over(self) -> bool:
        """Whether this epoch's slice of a time budget has passed."""
        assert self.plan.time_budget_s is not None
        share = (len(self.history) + 1) / self.plan.epochs
        return self.elapsed() >= share * self.plan.time_budget_s

    def _is_late(self, begun: float) -> bool:
        """Whether a validation that began then has used its share of a time budget."""
        budget = self.plan.time_budget_s
        return budget is not None and time.perf_counter() - begun > VALIDATION_SHARE * budget

    def _progress(self, step_in_epoch: int) -> float:
        """Progress of the schedule, 0 … 1, by the clock under a time budget."""
        if self.plan.time_budget_s is not None:
            return min(1.0, max(0.0, 1 - self._time_left() / self.plan.time_budget_s))
        if self.plan.schedule == "poly":  # nnU-Net changes the rate once per epoch
            return len(self.history) / self.plan.epochs
        total = self.plan.epochs * self.plan.steps_per_epoch
        return min(1.0, (len(self.history) * self.plan.steps_per_epoch + step_in_epoch) / total)

    def _epoch(self, maker: BatchMaker, bar: tqdm[Any]) -> Epoch:
        self.network.train()
        number = len(self.history)
        seed = self.task.configuration.seed
        # Under a time budget epochs are equal slices of the time, however many steps they hold.
        timed = self.plan.time_budget_s is not None
        indices = itertools.count() if timed else range(self.plan.steps_per_epoch)
        batches = prefetch(maker, ((seed, number, index) for index in indices), self.workers)
        losses: list[Tensor] = []
        rate = 0.0
        slowest = 0.0
        schedule = SCHEDULES[self.plan.schedule]
        for index, batch in enumerate(batches):
            begun = time.perf_counter()
            progress = self._progress(index)
            rate = self.plan.learning_rate * schedule(progress)
            set_learning_rate(self.optimiser, rate)
            losses.append(self._train_step(batch))
            self.step += 1
            if timed:
                losses[-1].item()  # waits for the device, so that the clock sees its work
            bar.update(100 * progress - bar.n)
            slowest = max(slowest, time.perf_counter() - begun)
            if timed and (self._slice_is_over() or self._time_left() < slowest):
                break
        batches.close()
        train_loss = float(torch.stack(losses).mean())
        if not math.isfinite(train_loss):
            raise AutosegError(
                f"The training loss is {train_loss} after step {self.step}: the training diverged. "
                "Start anew with --overwrite and a lower learning_rate in plan.yaml."
            )
        val_loss, val_dice = self._validate()
        return Epoch(
            epoch=number + 1,
            step=self.step,
            elapsed_s=self.elapsed(),
            learning_rate=rate,
            train_loss=train_loss,
            val_loss=val_loss,
            val_dice=val_dice,
        )

    def _train_step(self, batch: Batch) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        with self.precision.autocast():
            logits = self.network(batch.image.contiguous(memory_format=self.memory_format))
            if not self.plan.deep_supervision:
                logits = logits[:1]
            loss: Tensor = self.loss(logits, batch.target, batch.valid_mask)
        self.precision.step(loss, self.optimiser, self.network, self.plan.gradient_clip)
        if self.average is not None:
            # Young averages forget fast, so that the random start does not linger.
            decay = min(self.plan.weight_average, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.average.parameters()), list(self.network.parameters()), 1 - decay
                )
        return loss.detach()

    @torch.inference_mode()
    def _validate(self) -> tuple[float, tuple[float | None, ...]]:
        """Loss and Dice over a fixed set of validation patches."""
        configuration = self.task.configuration
        cases = self.task.val_cases or self.task.train_cases
        sampler = PatchSampler(self.task.store, cases, configuration, self.task.previous_store)
        batch_size = min(configuration.batch_size, VALIDATION_BATCH[configuration.dimensions])
        small = replace(configuration, batch_size=batch_size)
        maker = BatchMaker(sampler, small, self.device, augment=False)
        count = min(MAX_VALIDATION_BATCHES, max(1, self.plan.steps_per_epoch // 5))
        begun = time.perf_counter()
        model = (self.average or self.network).eval()
        losses, counts = (
            [],
            torch.zeros(3, len(configuration.labels.class_names), dtype=torch.float64),
        )
        seeds = [(configuration.seed, VALIDATION_SEED, index) for index in range(count)]
        batches = prefetch(maker, seeds, self.workers)
        for batch in batches:
            with self.precision.autocast():
                logits = model(batch.image.contiguous(memory_format=self.memory_format))
                losses.append(float(self.loss.loss(logits[0], batch.target, batch.valid_mask)))
            counts += confusion(logits[0], batch, configuration.labels.has_regions).cpu()
            if self._is_late(begun):
                break
        batches.close()
        both, predicted, reference = counts.tolist()
        dice = tuple(
            2 * hit / (have + want) if have + want else None
            for hit, have, want in zip(both, predicted, reference, strict=True)
        )
        return sum(losses) / len(losses), dice

    def _update_best(self, row: Epoch) -> bool:
        """Smooths the validation Dice as nnU-Net does; epochs without a score change nothing."""
        score = row.mean_dice
        if score is None:
            return False
        self.smoothed = score if self.smoothed is None else 0.9 * self.smoothed + 0.1 * score
        if self.smoothed <= self.best_score:
            return False
        self.best_score = self.smoothed
        return True

    def _save(self, *, is_best: bool) -> None:
        run = self.task.run
        save_checkpoint(run.last, self._checkpoint(with_state=True))
        if is_best:
            save_checkpoint(run.best, self._checkpoint(with_state=False))
        records.write_csv(run.history, self.history, self.task.configuration.labels.class_names)

    def _plot(self) -> None:
        records.plot(self.task.run.plot, self.history, self.task.configuration.labels.class_names)

    def _report(self, row: Epoch) -> None:
        dice = "–" if row.mean_dice is None else f"{row.mean_dice:.4f}"
        logger.info(
            "epoch %d  step %d  %.0f s  rate %.2g  loss %.4f  validation loss %.4f  Dice %s",
            row.epoch,
            row.step,
            row.elapsed_s,
            row.learning_rate,
            row.train_loss,
            row.val_loss,
            dice,
        )

    def _checkpoint(self, *, with_state: bool) -> Checkpoint:
        model = self.average or self.network
        training: dict[str, Any] = {}
        if with_state:
            training = {
                "weights": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.precision.state(),
                "history": records.to_rows(self.history),
                "step": self.step,
                "elapsed_s": self.elapsed(),
                "best_score": self.best_score,
                "smoothed": self.smoothed,
                "random": torch.get_rng_state(),
            }
        score = self.history[-1].mean_dice if self.history else None
        return Checkpoint(
            configuration=self.task.configuration,
            weights=model.state_dict(),
            provenance=replace(self.task.provenance, steps=self.step, val_dice=score),
            training=training,
        )


_BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


def confusion(logits: Tensor, batch: Batch, has_regions: bool) -> Tensor:
    """Voxels that are [in both, predicted, in the reference], each per foreground class: [3, c]."""
    if has_regions:
        predicted, reference = logits > 0, batch.target.bool()
    else:
        classes = torch.arange(1, logits.shape[1], device=logits.device)
        shape = [1, -1] + [1] * (logits.ndim - 2)
        predicted = logits.argmax(1)[:, None] == classes.view(shape)
        reference = batch.target[:, None] == classes.view(shape)
    if batch.valid_mask is not None:
        valid = batch.valid_mask[:, None]
        predicted, reference = predicted & valid, reference & valid
    axes = [0, *range(2, logits.ndim)]
    return torch.stack(
        [(predicted & reference).sum(axes), predicted.sum(axes), reference.sum(axes)]
    ).double()
