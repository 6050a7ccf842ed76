"""Scores label maps that any program wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoseg.parallel import default_workers

if TYPE_CHECKING:
    from evaluation import Classes, Settings, Summary


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
    from evaluation import evaluate_folders
    from evaluation.metrics import DEFAULT, strata

    reference, folders = Path(reference), [Path(item) for item in raters]
    classes = _classes(reference, folders, labels, profile)
    if lesion_sizes_ml:
        metrics = strata(metrics or DEFAULT, lesion_sizes_ml)
    several = [prediction] if isinstance(prediction, str | Path) else prediction
    return evaluate_folders(
        reference,
        [Path(item) for item in several],
        classes,
        metrics=metrics,
        settings=settings,
        raters=folders,
        probabilities=[Path(item) for item in probabilities],
        profile=profile,
        mode=mode,
        images=None if images is None else Path(images),
        vessels=None if vessels is None else Path(vessels),
        output=None if output is None else Path(output),
        overwrite=overwrite,
        seed=seed,
        workers=workers or default_workers(),
    )


def _classes(
    reference: Path, raters: Sequence[Path], labels: Path | str | None, profile: str | None
) -> Classes | None:
    """Classes of the file that was given, or of the data set that the references belong to."""
    from evaluation import read_classes
    from evaluation.scoring.inputs import is_consensus

    if labels is not None:
        given = Path(labels)
        return read_classes(given / "dataset.json" if given.is_dir() else given)
    if profile is not None:
        return None
    places = [reference.parent]
    if is_consensus(reference):  # DATASET/ratersTr, or DATASET/ratersTr/RATER
        places = [place for folder in raters[:1] for place in list(folder.absolute().parents)[:2]]
    found = (place / "dataset.json" for place in places)
    beside = next((path for path in found if path.is_file()), None)
    return None if beside is None else read_classes(beside)
