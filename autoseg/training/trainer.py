"""The training loop; it knows tensors and clocks, not file formats of images."""

from __future__ import annotations

import itertools
import logging
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from autoseg.architectures import build_network
from autoseg.checkpoint import (
    Checkpoint,
    Provenance,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from autoseg.errors import AutosegError, UsageError
from autoseg.losses import build_loss
from autoseg.losses.deep_supervision import DeepSupervision
from autoseg.optimiser import SCHEDULES, build_optimiser, set_learning_rate
from autoseg.precision import Precision, memory_format
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store
from autoseg.schema.epoch import Epoch
from autoseg.schema.plan import Configuration
from autoseg.training import history
from autoseg.training.augmenter import BatchSource, batch_source
from autoseg.training.batches import Batch
from autoseg.training.clock import Clock
from autoseg.training.patches import PatchSampler
from autoseg.training.scoring import BestScore, PatchScorer
from autoseg.training.weight_average import WeightAverage
from autoseg.workspace import Run

logger = logging.getLogger(__name__)

PLOT_EVERY_S = 60.0
SLOW = 2.0
"""A timed training that makes so many times fewer steps than planned says so."""
_BAR = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


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
        replaced: Folder of an earlier training, which goes once this one has a checkpoint.
        initial_weights: State dict to start from instead of random weights.
    """

    configuration: Configuration
    store: Store
    train_cases: tuple[str, ...]
    val_cases: tuple[str, ...]
    provenance: Provenance
    run: Run
    previous_store: StageStore | None = None
    replaced: Path | None = None
    initial_weights: Mapping[str, Tensor] | None = None


class Trainer:
    """Trains one network.

    Args:
        task: What is to be trained.
        device: cpu, cuda or mps.
        workers: Threads or processes that make batches; 0 makes each when it is wanted.
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
        if task.initial_weights is not None:
            network.load_state_dict(task.initial_weights)
        self.memory_format = memory_format(self.device, configuration.dimensions)
        self.network = network.to(self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        decay = self.plan.weight_average
        self.average = WeightAverage(self.network, decay) if decay else None
        self.optimiser = build_optimiser(self.network, self.plan)
        self.loss = DeepSupervision(build_loss(self.plan))
        self.precision = Precision(self.device)
        self.clock = Clock(self.plan)
        self.best = BestScore()
        self.history: list[Epoch] = []
        self.step = 0

    def resume(self) -> None:
        """Goes on from the last checkpoint of the run.

        What an interruption between two files left behind (the table, the best model) is completed.

        Raises:
            UsageError: The configuration has changed since, or the checkpoint is a finished model.
        """
        run = self.task.run
        checkpoint = load_checkpoint(run.last)
        if checkpoint.configuration != self.task.configuration:
            raise UsageError(
                f"{run.last}: was trained with another configuration. "
                "Start anew with --overwrite, or resume without new options."
            )
        state = checkpoint.training
        if state is None:
            raise UsageError(f"{run.last}: holds no state of a training. Start with --overwrite.")
        self.network.load_state_dict(state.weights)
        if self.average is not None:
            self.average.network.load_state_dict(checkpoint.weights)
        self.optimiser.load_state_dict(state.optimiser)
        self.precision.load_state(state.scaler)
        self.history = list(state.history)
        self.step = state.step
        self.clock = Clock(self.plan, state.elapsed_s)
        self.best = BestScore(state.best_score, state.smoothed)
        torch.set_rng_state(state.random)
        if state.is_best:
            save_checkpoint(run.best, replace(checkpoint, training=None))
        self._write_history()
        logger.info("Resumed after epoch %d, step %d.", len(self.history), self.step)

    def fit(self) -> Checkpoint:
        """Trains to the end of the schedule; a time budget begins now.

        Returns:
            The final model, which is also written to the run's folder.
        """
        self.clock.start()
        task, configuration = self.task, self.task.configuration
        sampler = PatchSampler(task.store, task.train_cases, configuration, task.previous_store)
        scorer = PatchScorer(
            configuration,
            task.store,
            task.val_cases or task.train_cases,
            task.previous_store,
            device=self.device,
            workers=self.workers,
        )
        last_plot = -math.inf
        with (
            batch_source(sampler, configuration, self.device, self.workers) as source,
            tqdm(total=100.0, desc="Training", unit="%", bar_format=_BAR, disable=None) as bar,
        ):
            while not self.clock.is_finished(len(self.history)):
                row = self._epoch(source, scorer, bar)
                self.history.append(row)
                self._save(is_best=self.best.update(row.mean_dice))
                if time.perf_counter() - last_plot > PLOT_EVERY_S:
                    last_plot = time.perf_counter()
                    self._plot()
                self._report(row)
        self._plot()
        final = self._checkpoint(None)
        save_checkpoint(task.run.final, final)
        logger.info("Trained %d steps in %.1f s.", self.step, self.clock.elapsed_s())
        self._compare_with_plan()
        return final

    def _compare_with_plan(self) -> None:
        """Says where a time budget held far fewer steps than the plan expected."""
        planned = self.plan.epochs * self.plan.steps_per_epoch
        if self.clock.is_timed and self.step * SLOW < planned:
            logger.warning(
                "The plan expected %d steps in this time and %d were made: the machine was busy, "
                "or is slower than the one that planned. The model has learnt less than it could; "
                "train anew with --overwrite and a longer --time-budget, or on a quiet machine.",
                planned,
                self.step,
            )

    def _epoch(self, source: BatchSource, scorer: PatchScorer, bar: tqdm[Any]) -> Epoch:
        train_loss, rate = self._train_epoch(source, bar)
        if not math.isfinite(train_loss):
            raise AutosegError(
                f"The training loss is {train_loss} after step {self.step}: the training diverged. "
                "Start anew with --overwrite and a lower learning_rate in plan.yaml."
            )
        model = self.average.network if self.average else self.network
        val_loss, val_dice = scorer.score(model, self.loss.loss, self.precision, self.clock)
        return Epoch(
            epoch=len(self.history) + 1,
            step=self.step,
            elapsed_s=self.clock.elapsed_s(),
            learning_rate=rate,
            train_loss=train_loss,
            val_loss=val_loss,
            val_dice=val_dice,
        )

    def _train_epoch(self, source: BatchSource, bar: tqdm[Any]) -> tuple[float, float]:
        """Trains an epoch; returns its mean loss and the last learning rate."""
        self.network.train()
        number, seed = len(self.history), self.task.configuration.seed
        # Under a time budget epochs are equal slices of the time, however many steps they hold.
        timed = self.clock.is_timed
        indices = itertools.count() if timed else range(self.plan.steps_per_epoch)
        batches = source((seed, number, index) for index in indices)
        losses: list[Tensor] = []
        rate = slowest = 0.0
        schedule = SCHEDULES[self.plan.schedule]
        for index, batch in enumerate(batches):
            begun = time.perf_counter()
            progress = self.clock.progress(number, index)
            rate = self.plan.learning_rate * schedule(progress)
            set_learning_rate(self.optimiser, rate)
            losses.append(self._train_step(batch))
            self.step += 1
            if timed:
                losses[-1].item()  # waits for the device, so that the clock sees its work
            bar.update(100 * progress - bar.n)
            slowest = max(slowest, time.perf_counter() - begun)
            if self.clock.epoch_is_over(number, slowest):
                break
        batches.close()
        return float(torch.stack(losses).mean()), rate

    def _train_step(self, batch: Batch) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        with self.precision.autocast():
            logits = self.network(batch.image.contiguous(memory_format=self.memory_format))
            if not self.plan.deep_supervision:
                logits = logits[:1]
            loss: Tensor = self.loss(logits, batch.target, batch.valid_mask)
        self.precision.step(loss, self.optimiser, self.network, self.plan.gradient_clip)
        if self.average is not None:
            self.average.update(self.network, self.step)
        return loss.detach()

    def _save(self, *, is_best: bool) -> None:
        run = self.task.run
        save_checkpoint(run.last, self._checkpoint(self._state(is_best=is_best)))
        if self.task.replaced is not None:
            shutil.rmtree(self.task.replaced, ignore_errors=True)
        if is_best:
            save_checkpoint(run.best, self._checkpoint(None))
        self._write_history()

    def _state(self, *, is_best: bool) -> TrainingState:
        return TrainingState(
            weights=self.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
            scaler=self.precision.state(),
            history=tuple(self.history),
            step=self.step,
            elapsed_s=self.clock.elapsed_s(),
            best_score=self.best.best,
            smoothed=self.best.smoothed,
            is_best=is_best,
            random=torch.get_rng_state(),
        )

    def _checkpoint(self, state: TrainingState | None) -> Checkpoint:
        model = self.average.network if self.average else self.network
        score = self.history[-1].mean_dice if self.history else None
        return Checkpoint(
            configuration=self.task.configuration,
            weights=model.state_dict(),
            provenance=replace(self.task.provenance, steps=self.step, val_dice=score),
            training=state,
        )

    def _write_history(self) -> None:
        names = self.task.configuration.labels.class_names
        history.write_csv(self.task.run.history, self.history, names)

    def _plot(self) -> None:
        names = self.task.configuration.labels.class_names
        history.plot(self.task.run.plot, self.history, names)

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
