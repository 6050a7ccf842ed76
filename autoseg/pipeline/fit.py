"""Prepares a run and trains one network in it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoseg.checkpoint import Checkpoint, Provenance
from autoseg.datasets.folds import Fold
from autoseg.parallel import default_workers
from autoseg.planned import load_plan
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store, preprocess_cases, store_key
from autoseg.report.model_card import write_card
from autoseg.schema import serialise
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Configuration
from autoseg.training.trainer import Task, Trainer
from autoseg.workspace import Run, Workspace

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training in a workspace.

    Attributes:
        workspace: The workspace; its cases are preprocessed.
        dataset: The data set.
        folds: All folds of the workspace.
        fold: Number of the fold, or "all".
        cases: Training and validation cases of the fold.
        device: cpu, cuda or mps.
        workers: Threads or processes that make batches.
        replaced: Folder of an earlier training, which goes once this one has a checkpoint.
    """

    workspace: Workspace
    dataset: Dataset
    folds: tuple[Fold, ...]
    fold: int | str
    cases: Fold
    device: str
    workers: int
    replaced: Path | None = None


def fit(
    job: Job,
    run: Run,
    configuration: Configuration,
    *,
    resumes: bool,
    previous_store: StageStore | None = None,
) -> Checkpoint:
    """Trains one network.

    Args:
        job: What for.
        run: Where everything is written.
        configuration: The network.
        resumes: Go on from the run's last checkpoint.
        previous_store: Predictions that the network gets as input.
    """
    cases = job.cases
    fingerprint = serialise.load(Fingerprint, job.workspace.fingerprint)
    task = Task(
        configuration=configuration,
        store=Store(
            job.workspace.preprocessed(store_key(configuration)),
            cache_bytes=configuration.cache_bytes,
        ),
        train_cases=cases.train,
        val_cases=cases.val,
        provenance=Provenance(
            dataset=job.dataset.name,
            fold=str(job.fold),
            train_cases=cases.train,
            val_cases=cases.val,
            file_ending=job.dataset.file_ending,
            steps=0,
            val_dice=None,
            request=load_plan(job.workspace).request,
            data_signature=fingerprint.signature,
        ),
        run=run,
        replaced=job.replaced,
        previous_store=previous_store,
    )
    logger.info(
        "Training %s fold %s on %s: %d cases, %d for validation.",
        configuration.name,
        job.fold,
        job.device,
        len(cases.train),
        len(cases.val),
    )
    trainer = Trainer(task, device=job.device, workers=job.workers)
    if resumes:
        trainer.resume()
    model = trainer.fit()
    write_card(run.card, model, fingerprint=fingerprint)
    return model


def preprocess(job: Job, configurations: Sequence[Configuration]) -> None:
    """Preprocesses the cases for configurations, where that was not done yet."""
    targets = {
        job.workspace.preprocessed(store_key(configuration)): configuration
        for configuration in configurations
    }
    preprocess_cases(job.dataset.cases, targets, workers=default_workers())


def batch_workers(device: str) -> int:
    """Threads or processes that make batches: none beside a CPU training, some for a GPU."""
    return 0 if device == "cpu" else max(2, min(8, default_workers() - 1))
