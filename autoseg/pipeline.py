"""The table of contents: one function per verb, in the order in which a user meets them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoseg import planned
from autoseg.costs.machine import find_device
from autoseg.datasets.folder import survey_dataset
from autoseg.datasets.recipes import apply_recipe, load_recipe
from autoseg.errors import DatasetError, InputError, UsageError
from autoseg.parallel import default_workers
from autoseg.planning import session
from autoseg.planning.budget import make_budget, parse_duration, parse_memory
from autoseg.planning.explain import explain
from autoseg.planning.planners import PLANNERS
from autoseg.planning.planners.request import Request
from autoseg.preprocessing.store import preprocess_cases, store_key
from autoseg.runlog import log_file
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration, Plan
from autoseg.workspace import Workspace

if TYPE_CHECKING:
    from autoseg.checkpoint import Checkpoint
    from autoseg.inference.execution import Choice
    from autoseg.inference.files import Report
    from evaluation import Settings, Summary

logger = logging.getLogger(__name__)


def plan(
    dataset: Path | str,
    workspace: Path | str,
    *,
    configurations: Sequence[str] = (),
    planner: str = "auto",
    network: str | None = None,
    device: str = "auto",
    memory: str | None = None,
    time_budget: str | None = None,
    folds: int | None = None,
    group_pattern: str | None = None,
    groups: Path | None = None,
    seed: int = 0,
    recipe: str | None = None,
    preprocess: bool = True,
    reuse: bool = False,
    workers: int | None = None,
) -> Plan:
    """Checks and measures a data set, plans for it, makes folds and preprocesses the cases.

    Args:
        dataset: Folder in nnU-Net's raw format.
        workspace: Folder in which everything is made.
        configurations: Names, all that fit where empty.
        planner: auto or nnunet.
        network: plain, M, L or XL; None leaves the choice to the planner.
        device: auto, cpu, cuda or mps.
        memory: Such as "8GB"; None takes what is free.
        time_budget: Such as "10m", for one training.
        folds: Number of folds, 5 where None.
        group_pattern: Regular expression that finds the patient in a case name.
        groups: CSV with the columns case and group.
        seed: Seed of everything random.
        recipe: Name of a recipe for a known data set; see `autoseg.recipes`.
        preprocess: Also preprocess.
        reuse: Take the workspace's plan where files and options are the same.
        workers: Processes; None takes all processors.

    Returns:
        The plan, which is also in the workspace.

    Raises:
        DatasetError: The data set has faults; all of them are listed.
        UsageError: An argument does not fit.
    """
    place = Workspace(Path(workspace))
    workers = workers or default_workers()
    make_plan = PLANNERS[planner]
    asked = {
        "configurations": " ".join(configurations),
        "planner": planner,
        "network": network or "",
        "device": device,
        "memory": memory or "",
        "time_budget": time_budget or "",
        "seed": str(seed),
        "recipe": recipe or "",
    }
    known = load_recipe(recipe) if recipe else None
    if known is not None:
        configurations = configurations or known.configurations
        network = network or known.network
        group_pattern = group_pattern or known.group_pattern
    if reuse and (earlier := session.reusable(place, Path(dataset), asked, known)) is not None:
        logger.info("The plan was made already, for the same files and options.")
        if preprocess:
            preprocess_workspace(place.root, workers=workers)
        return earlier
    make_budget(device, memory, time_budget)  # refuses wrong words before the data are read
    data, warnings, errors = survey_dataset(Path(dataset))
    if data is None:
        raise DatasetError(errors)
    if known is not None:
        data = apply_recipe(data, known)
    session.check_workspace(place, data)
    folding = session.Folding(number=folds, pattern=group_pattern, table=groups, seed=seed)
    errors += session.fold_faults(place, data, folding)
    fingerprint = session.fingerprint(place, data, workers, errors, warnings)
    chosen, decision = session.folds(place, data, fingerprint, folding)
    request = Request(
        configurations=tuple(configurations),
        network=network,
        memory=memory is not None,
        seed=seed,
        recipe=known,
    )
    from autoseg import resources

    budget = resources.measuring_budget(device, memory, time_budget, data, fingerprint)
    made = make_plan(data, fingerprint, budget, request)
    made = replace(made, decisions=(*made.decisions, decision), request=asked)
    with log_file(place.logs / "plan.log"):
        text = explain(made, resources.costs(made, budget))
        session.save(place, data, fingerprint, chosen, made, text)
        for line in text.splitlines():
            logger.info(line)
    if preprocess:
        preprocess_workspace(place.root, workers=workers)
    return made


def preprocess_workspace(
    workspace: Path | str,
    *,
    configurations: Sequence[Configuration] | None = None,
    workers: int | None = None,
) -> int:
    """Preprocesses all cases of a workspace that are not done yet.

    Args:
        workspace: Planned workspace.
        configurations: For which configurations, all of the plan where None.
        workers: Processes.

    Returns:
        How many cases were done now.
    """
    place = Workspace(Path(workspace))
    dataset = planned.load_dataset(place)
    chosen = configurations or tuple(planned.load_plan(place).configurations.values())
    targets = {place.preprocessed(store_key(item)): item for item in chosen}
    for case in dataset.cases:
        for path in (*case.images, *case.annotations):
            if not path.exists():
                raise InputError(
                    f"{path}: is gone since the plan was made. Run autoseg_plan again."
                )
    with log_file(place.logs / "preprocess.log"):
        return preprocess_cases(dataset.cases, targets, workers=workers or default_workers())


def train(
    workspace: Path | str,
    configuration: str,
    fold: int | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    time_budget: str | None = None,
    epochs: int | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> Checkpoint:
    """Trains one network.

    Args:
        workspace: Planned workspace.
        configuration: Name of a configuration of the plan.
        fold: Number of the fold, or "all" for one network on all cases.
        resume: Go on where an interrupted run was.
        overwrite: Throw an earlier run of this configuration and fold away.
        time_budget: Such as "10m"; another budget than the plan's chooses network and schedule
            anew (planner auto).
        epochs: Fixed number of epochs instead of the plan's schedule.
        device: auto, cpu, cuda or mps.
        workers: Threads that make batches.

    Returns:
        The final model.
    """
    started = time.perf_counter()
    from autoseg import fitting, resources
    from autoseg.checkpoint import load_checkpoint
    from autoseg.training.setup import batch_workers, check_unchanged, make_room

    place = Workspace(Path(workspace))
    made, dataset = planned.load_plan(place), planned.load_dataset(place)
    device = find_device(device)
    job = fitting.Job(
        place=place,
        dataset=dataset,
        folds=planned.load_folds(place, dataset),
        fold=fold,
        cases=planned.load_fold(place, dataset, fold),
        device=device,
        workers=batch_workers(device) if workers is None else workers,
    )
    if configuration not in made.configurations:
        known = ", ".join(made.configurations)
        raise UsageError(f"The plan has no configuration '{configuration}'. It has: {known}.")
    run = place.run(configuration, fold)
    if resume and run.final.is_file():
        logger.info("%s is trained already.", run.folder)
        return load_checkpoint(run.final)
    fitting.check_previous(job, made.configurations[configuration])
    resumes = resume and run.last.is_file()
    make_room(run, resume=resume, overwrite=overwrite)
    with log_file(run.log):
        if resumes or (resume and run.paths.exists()):
            items = {**made.configurations}
            item = serialise.load(Configuration, run.configuration)
            check_unchanged(item, epochs, parse_duration(time_budget) if time_budget else None)
        else:
            items = resources.override(
                place, made, configuration, epochs=epochs, device=device, time_budget=time_budget
            )
            item = items[configuration]
            serialise.save(item, run.configuration)
        preprocess_workspace(place.root, configurations=[item])
        store = None
        if item.previous is not None:
            if item.previous.kind == "labels":
                store = fitting.cascade_inputs(job, item)
            else:
                job, store = fitting.fit_paths(job, run, item, items, resume=resume)
            started = time.perf_counter()
        return fitting.fit(job, run, item, resumes=resumes, started=started, previous_store=store)


def predict(
    models: Sequence[Path | str],
    source: Path | str,
    output: Path | str,
    *,
    save_probabilities: bool = False,
    mirroring: bool = True,
    step: float = 0.5,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int | None = None,
    memory: str | None = None,
    precision: Choice = "auto",
    roi: Sequence[str] = (),
    roi_model: Path | str | None = None,
    roi_margin_mm: float = 20.0,
) -> Report:
    """Predicts images with the average of one or several models.

    Args:
        models: Checkpoint files, run folders or workspaces.
        source: Folder of images, or one image.
        output: Folder for the label maps, or one file where the source is one file.
        save_probabilities: Also write probabilities as .npz (float16, key "probabilities").
        mirroring: Average over the mirrored axes of the plan.
        step: Distance of neighbouring tiles as a share of the tile.
        resume: Skip cases that are there.
        overwrite: Replace label maps that are there.
        device: auto, cpu, cuda or mps.
        workers: Threads that read ahead.
        memory: What the process may take, such as 4GB; cases are then read one at a time. It
            changes no result.
        precision: "auto" computes in float32 on CPUs and in half precision on GPUs; "float32" and
            "mixed" choose one; "fastest" measures formats, memory layouts and torch.compile once
            and remembers what was fastest here.
        roi: Labels of `roi_model`; only the box around them is predicted.
        roi_model: A coarse model that finds them, one of `models`' forms.
        roi_margin_mm: Margin around that box.

    Returns:
        What was written, skipped and what failed.
    """
    from autoseg.datasets.file_names import input_cases
    from autoseg.inference.files import find_targets, predict_files
    from autoseg.inference.models import find_models, load_models
    from autoseg.inference.network import Options
    from autoseg.inference.predictor import Predictor
    from autoseg.inference.region_of_interest import RegionOfInterest

    if bool(roi) != (roi_model is not None):
        raise UsageError("--roi LABELS and --roi-model MODEL need each other.")
    paths = [path for model in models for path in find_models(Path(model))]
    options = Options(
        mirroring=mirroring,
        step=step,
        device=find_device(device),
        memory_bytes=parse_memory(memory) if memory else None,
        precision=precision,
    )
    region = None
    if roi_model is not None:
        finder = Predictor(load_models(find_models(Path(roi_model))), options)
        region = RegionOfInterest(finder, roi, roi_margin_mm)
    predictor = Predictor(load_models(paths), options, region)
    cases = input_cases(Path(source), predictor.num_channels)
    targets = find_targets(Path(source), cases, Path(output), keep=resume, overwrite=overwrite)
    for path in paths:
        logger.info("Model %s", path)
    return predict_files(
        predictor,
        cases,
        targets,
        probabilities=save_probabilities,
        resume=resume,
        workers=workers or default_workers(),
    )


def import_model(
    source: Path | str,
    output: Path | str,
    *,
    configuration: str | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Turns a model that nnU-Net trained into model files of ours.

    Args:
        source: nnU-Net's result folder (`TRAINER__PLANS__CONFIGURATION`) or one above, or a zip.
        output: Folder for `fold_N/checkpoint_final.pt`, which `predict` takes.
        configuration: Which one, where there are several, such as 3d_fullres.
        recipe: What is known about the model beside its files, such as totalsegmentator:291: the
            orientation that its program turns images to, and the names of its labels.
        overwrite: Replace models that are there.

    Returns:
        The model files.
    """
    from autoseg.interop import nnunet

    knowledge = None
    if recipe is not None:
        known = load_recipe(recipe)
        names = {value: name for name, value in known.labels.items() if isinstance(value, int)}
        knowledge = nnunet.Knowledge(orientation=known.orientation, names=names)
    return nnunet.import_model(
        Path(source),
        Path(output),
        configuration=configuration,
        overwrite=overwrite,
        knowledge=knowledge,
    )


def export_model(
    kind: str, model: Path | str, output: Path | str, *, overwrite: bool = False
) -> list[str]:
    """Writes models of ours for other programs.

    Args:
        kind: nnunet (a result folder for nnU-Net v2, all folds in it), onnx, or program (torch's
            ExportedProgram). The last two write one network and its plan beside it.
        model: Checkpoint file, run folder or workspace.
        output: Folder for nnunet, else a file that ends in .onnx or .pt2.
        overwrite: Replace what is there.

    Returns:
        What users of the result have to know.
    """
    from autoseg.inference.models import find_models, read_any
    from autoseg.interop.export import export

    models = {path: read_any(path) for path in find_models(Path(model))}
    return export(kind, models, Path(output), overwrite=overwrite)


def evaluate(
    reference: Path | str,
    prediction: Path | str | Sequence[Path | str],
    *,
    labels: Path | str | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    metrics: Sequence[str] | None = None,
    lesion_sizes_ml: Sequence[float] = (),
    settings: Settings | None = None,
    raters: Sequence[Path | str] = (),
    probabilities: Sequence[Path | str] = (),
    profile: str | None = None,
    mode: Literal["official", "exact"] = "official",
    images: Path | str | None = None,
    vessels: Path | str | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Summary:
    """Scores label maps (and probabilities) against references, or against several raters.

    Args:
        reference: Folder or file; `majority` or `staple` makes it from the raters.
        prediction: Folder or file, or several: one per method, which are compared.
        labels: dataset.json that names the classes; None: the one beside the reference, the
            profile's, or every value of the references.
        output: Folder for summary.json, cases.csv and summary.md.
        overwrite: Replace an evaluation that is there.
        metrics: Names in the table of metrics, `name` or `name:variant`.
        lesion_sizes_ml: Volumes that part the lesions for the lesion metrics.
        settings: Choices about the metrics.
        raters: Folders of label maps, one per rater.
        probabilities: Folders of probabilities, one per prediction.
        profile: Challenge whose scores are computed instead.
        mode: Of the profile: bug for bug, or without the bugs.
        images: Folder of images, for profiles that crop to them.
        vessels: Folder of vessel maps, for profiles that need them.
        seed: Of bootstrap and permutations.
        workers: Threads.

    Returns:
        All scores.

    Raises:
        EvaluationError: Files cannot be read or do not fit.
    """
    from evaluation import evaluate_folders, read_classes, write_summary
    from evaluation.metrics import DEFAULT, strata
    from evaluation.report import check_output

    if output is not None:
        check_output(Path(output), overwrite=overwrite)
    classes = None
    reference = Path(reference)
    if labels is not None:
        labels = Path(labels)
        classes = read_classes(labels / "dataset.json" if labels.is_dir() else labels)
    elif profile is None and (beside := reference.parent / "dataset.json").is_file():
        classes = read_classes(beside)
    if lesion_sizes_ml:
        metrics = strata(metrics or DEFAULT, lesion_sizes_ml)
    several = [prediction] if isinstance(prediction, str | Path) else prediction
    summary = evaluate_folders(
        reference,
        [Path(item) for item in several],
        classes,
        metrics=metrics,
        settings=settings,
        raters=[Path(item) for item in raters],
        probabilities=[Path(item) for item in probabilities],
        profile=profile,
        mode=mode,
        images=None if images is None else Path(images),
        vessels=None if vessels is None else Path(vessels),
        seed=seed,
        workers=workers or default_workers(),
    )
    if output is not None:
        write_summary(summary, Path(output))
    return summary


def validate(
    workspace: Path | str,
    configuration: str,
    fold: int | str,
    *,
    device: str = "auto",
    workers: int | None = None,
) -> Summary:
    """Predicts the validation cases of a trained fold, scores them and draws some of them.

    Cases that were predicted already by this model are not predicted again.

    Returns:
        The scores, which are also in the run's folder.
    """
    from autoseg import validation

    place = Workspace(Path(workspace))
    dataset, run = planned.load_dataset(place), place.run(configuration, fold)
    chosen = planned.load_fold(place, dataset, fold)
    if not chosen.val:
        raise UsageError(f"Fold {fold} has no validation cases.")
    if not run.final.is_file():
        raise UsageError(f"{run.folder}: not trained yet. Run autoseg_train first.")
    cases = {case.identifier: case for case in dataset.cases if case.identifier in set(chosen.val)}
    with log_file(run.log):
        report = validation.predict_cases(
            run, cases, device=find_device(device), workers=workers or default_workers()
        )
        if report.failed:
            raise InputError(
                "\n".join(f"Case '{case}': {reason}" for case, reason in report.failed.items())
            )
        references = validation.references(place, dataset, cases)
        summary = validation.score(run, dataset, cases, references)
        validation.draw(run, cases, references, summary)
        validation.describe(place, run)
        for line in summary.table().splitlines():
            logger.info(line)
    return summary


def run(
    dataset: Path | str,
    workspace: Path | str,
    *,
    configuration: str | None = None,
    folds: Sequence[int | str] = (0,),
    planner: str = "auto",
    network: str | None = None,
    device: str = "auto",
    memory: str | None = None,
    time_budget: str | None = None,
    epochs: int | None = None,
    num_folds: int | None = None,
    group_pattern: str | None = None,
    groups: Path | None = None,
    seed: int = 0,
    recipe: str | None = None,
    workers: int | None = None,
) -> dict[Path, Summary]:
    """From a data set to scores: plan, preprocess, train, predict the validation cases, evaluate.

    An interrupted run goes on where it was when it is started again.

    Args:
        dataset: Folder in nnU-Net's raw format.
        workspace: Folder in which everything is made.
        configuration: Which one to train; None takes 3d_fullres, or 2d for 2D images.
        folds: Folds to train.
        planner: See `plan`.
        network: See `plan`.
        device: See `plan`.
        memory: See `plan`.
        time_budget: For each training.
        epochs: Fixed number of epochs.
        num_folds: Number of folds to make.
        group_pattern: See `plan`.
        groups: See `plan`.
        seed: See `plan`.
        recipe: See `plan`.
        workers: See `plan`.

    Returns:
        Folder of each run → scores of its validation cases.
    """
    if configuration is None:
        configuration = session.default_configuration(Path(dataset))
    plan(
        dataset,
        workspace,
        configurations=(configuration,),
        planner=planner,
        network=network,
        device=device,
        memory=memory,
        time_budget=time_budget,
        folds=num_folds,
        group_pattern=group_pattern,
        groups=groups,
        seed=seed,
        recipe=recipe,
        reuse=True,
        workers=workers,
    )
    made = planned.load_plan(Workspace(Path(workspace))).configurations[configuration]
    if made.previous is not None and made.previous.kind == "labels":
        place = Workspace(Path(workspace))
        for name in made.previous.names:
            for number in range(len(planned.load_folds(place, planned.load_dataset(place)))):
                train(workspace, name, number, resume=True, epochs=epochs, device=device)
    summaries = {}
    for fold in folds:
        train(workspace, configuration, fold, resume=True, epochs=epochs, device=device)
        if fold == planned.ALL:  # every case was learnt from, none is left to score
            continue
        folder = Workspace(Path(workspace)).run(configuration, fold).folder
        summaries[folder] = validate(workspace, configuration, fold, device=device, workers=workers)
    return summaries


def demo(
    folder: Path | str,
    *,
    time_budget: str = "2m",
    device: str = "auto",
    workers: int | None = None,
) -> dict[Path, Summary]:
    """Makes a small synthetic data set and does `run` on it.

    Args:
        folder: Folder for the data set and the workspace.
        time_budget: For the training.
        device: auto, cpu, cuda or mps.
        workers: Processes.
    """
    from dataset_conversion.synthetic import write_synthetic

    root = Path(folder)
    data = root / "Dataset900_Demo"
    if not (data / "dataset.json").is_file():
        write_synthetic(data)
    return run(data, root / "workspace", time_budget=time_budget, device=device, workers=workers)
