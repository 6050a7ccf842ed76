"""Scores label maps that any program wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoseg.parallel import default_workers

if TYPE_CHECKING:
    from evaluation import Settings, Summary


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
