"""What cascades and multi-path networks learn from: predictions of earlier stages."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from autoseg.checkpoint import load_checkpoint
from autoseg.datasets.folds import Fold
from autoseg.errors import InputError
from autoseg.inference.models import load_models
from autoseg.inference.network import Options, load_network
from autoseg.inference.previous_stages import CaseWork, stage_input
from autoseg.leaks import check_fold, fold_fault, train_command
from autoseg.pipeline.fit import Job, fit, preprocess
from autoseg.pipeline.run_folder import check_free, make_folder
from autoseg.preprocessing.case import PreprocessedCase
from autoseg.preprocessing.stage_store import StageStore
from autoseg.preprocessing.store import Store, source_signature, store_key
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration
from autoseg.workspace import Run, Workspace

logger = logging.getLogger(__name__)


def missing_models(workspace: Workspace, names: Iterable[str], num_folds: int) -> list[str]:
    """Commands that train what a cascade's second stage needs and what is not there yet."""
    return [
        f"autoseg_train {workspace.root} {name} {fold}"
        + " --resume" * workspace.run(name, fold).last.is_file()
        for name in names
        for fold in range(num_folds)
        if not workspace.run(name, fold).final.is_file()
    ]


def check_previous(job: Job, configuration: Configuration) -> None:
    """Refuses a network whose earlier stage is not there, before anything is written.

    Raises:
        InputError: Folds of a cascade's first stage are not trained, were trained on other cases,
            or leave cases out; there is no second fold for a multi-path network.
    """
    if configuration.previous is None:
        return
    if configuration.previous.kind == "probabilities":
        inner_fold(job)
        return
    (name,) = configuration.previous.names
    if not job.folds:
        raise InputError(
            f"{configuration.name} learns from the predictions of {name} for cases that it has not "
            f"learnt; {job.workspace.root} has too few cases to leave any out."
        )
    missing = missing_models(job.workspace, (name,), len(job.folds))
    if missing:
        raise InputError(
            f"{configuration.name} learns from the predictions of {name} for all cases, but "
            f"{len(missing)} of its {len(job.folds)} folds are not trained. Run:\n"
            + "\n".join(missing)
        )
    _check_first_stage(job, name)
    if left := sorted(_all_cases(job) - {case for fold in job.folds for case in fold.val}):
        raise InputError(
            f"{job.workspace.splits}: '{left[0]}' ({len(left)} in all) is in no fold's validation "
            f"part, so that no network of {name} can predict it. Use folds that cover all cases."
        )


def _check_first_stage(job: Job, name: str) -> None:
    """Refuses a first stage that knows cases which it is to predict for the second to learn."""
    lines = []
    for number, fold in enumerate(job.folds):
        final = job.workspace.run(name, number).final
        if fault := fold_fault([load_checkpoint(final).provenance], fold):
            lines += [f"{final}: {fault}.", train_command(job.workspace, name, number)]
    if lines:
        raise InputError(
            f"The folds have changed since {name} was trained. Bring back the splits_final.json "
            "that it was trained with, or run:\n" + "\n".join(lines)
        )


def check_same_cases(job: Job, run: Run, configuration: Configuration) -> None:
    """Refuses to go on with a training whose cases have changed since it began.

    Raises:
        InputError: They have.
    """
    wanted = {run: job.cases}
    if configuration.previous is not None and configuration.previous.kind == "probabilities":
        paths, fusion = _path_folds(job)
        wanted = {run: fusion, **{run.path(name): paths for name in configuration.previous.names}}
    for part, fold in wanted.items():
        trained = next((path for path in (part.final, part.last) if path.is_file()), None)
        if trained is not None:
            check_fold(
                [load_checkpoint(trained).provenance],
                fold,
                trained,
                command=train_command(job.workspace, configuration.name, job.fold),
            )


def _all_cases(job: Job) -> set[str]:
    return set(job.cases.train) | set(job.cases.val)


def cascade_inputs(job: Job, configuration: Configuration) -> StageStore:
    """Predictions of a cascade's first stage for every case, by the fold that did not learn it."""
    assert configuration.previous is not None
    (name,) = configuration.previous.names
    wanted = _all_cases(job)
    folder = job.workspace.root / "stages" / f"{name}-for-{store_key(configuration)}"
    store = StageStore(folder, cache_bytes=configuration.cache_bytes // 2)
    for number, fold in enumerate(job.folds):
        cases = [case for case in fold.val if case in wanted]
        _predict_stage(job, configuration, [job.workspace.run(name, number).final], cases, store)
    return store


def fit_paths(
    job: Job,
    run: Run,
    configuration: Configuration,
    stages: Mapping[str, Configuration],
    *,
    resume: bool,
) -> tuple[Job, StageStore]:
    """Trains the paths of a multi-path network and predicts what its fusion learns from.

    The cases of the next fold are held out from the paths: the fusion learns from their
    predictions, which are as good or bad as those of new cases.

    Returns:
        The fusion's job, and the paths' predictions for its cases.
    """
    assert configuration.previous is not None
    path_fold, fusion_fold = _path_folds(job)
    names = configuration.previous.names
    for name in names:  # kept from the beginning, so that a resumed training has the same paths
        if not run.path(name).configuration.is_file():
            serialise.save(stages[name], run.path(name).configuration)
    configurations = [serialise.load(Configuration, run.path(name).configuration) for name in names]
    preprocess(job, configurations)
    for position, (name, path_configuration) in enumerate(zip(names, configurations, strict=True)):
        path = run.path(name)
        logger.info("Path %d of %d: %s", position + 1, len(names), name)
        if path.final.is_file():
            logger.info("%s is trained already.", path.folder)
            continue
        resumes = resume and path.last.is_file()
        check_free(path, resume=resume, overwrite=False)
        make_folder(path)
        with log_file(path.log):
            fit(replace(job, cases=path_fold), path, path_configuration, resumes=resumes)
    store = StageStore(run.stage_inputs, cache_bytes=configuration.cache_bytes // 2)
    files = [run.path(name).final for name in names]
    cases = (*fusion_fold.train, *fusion_fold.val)
    _predict_stage(job, configuration, files, cases, store)
    return replace(job, cases=fusion_fold), store


def _path_folds(job: Job) -> tuple[Fold, Fold]:
    """Cases of the paths of a multi-path network, and of their fusion."""
    held_out = inner_fold(job)
    inner = tuple(case for case in job.cases.train if case not in set(held_out))
    paths = Fold(train=inner, val=job.cases.val or held_out)
    return paths, Fold(train=held_out, val=job.cases.val)


def inner_fold(job: Job) -> tuple[str, ...]:
    """Cases that are held out from the paths: those of the next fold.

    Raises:
        InputError: The paths would have no cases to learn from.
    """
    number = (job.fold + 1) % len(job.folds) if isinstance(job.fold, int) else 0
    train = set(job.cases.train)
    held_out = tuple(case for case in job.folds[number].val if case in train) if job.folds else ()
    if not held_out or len(held_out) == len(train):
        raise InputError(
            f"{job.workspace.root}: has {len(job.folds)} folds; a multi-path network needs three: "
            "its paths learn on other cases than the network that joins them, and both on others "
            "than it is validated on."
        )
    return held_out


def _predict_stage(
    job: Job,
    configuration: Configuration,
    files: Sequence[Path],
    cases: Sequence[str],
    store: StageStore,
) -> None:
    """Predicts cases from the workspace's preprocessed ones; those that are done are kept."""
    status = [(path, path.stat()) for path in files]
    models = [[str(path), found.st_size, found.st_mtime_ns] for path, found in status]
    wanted = set(cases)
    sources = {
        case.identifier: json.dumps([models, source_signature(case)])
        for case in job.dataset.cases
        if case.identifier in wanted
    }
    todo = [case for case in cases if not store.is_complete(case, sources[case])]
    if not todo:
        return
    options = Options(device=job.device)
    networks = [load_network(model, options, {}) for model in load_models(files)]
    configurations = [configuration, *(network.configuration for network in networks)]
    preprocess(job, configurations)
    stores = {
        key: Store(job.workspace.preprocessed(key), cache_bytes=0)
        for key in map(store_key, configurations)
    }
    for case in tqdm(todo, desc="First stage", unit="case", disable=None):
        done = {
            key: PreprocessedCase(
                image=part.read(case).image[:], labels=None, trace=part.trace(case)
            )
            for key, part in stores.items()
        }
        found = stage_input(configuration, [[part] for part in networks], CaseWork(cases=done))
        store.write(case, found, sources[case])
