"""KiTS19, KiTS21 and KiTS23: hierarchical classes, Dice and surface Dice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.challenges.by_class import score_classes
from evaluation.challenges.profile import Mode, Profile, ProfileCase, Values
from evaluation.errors import EvaluationError
from evaluation.files.label_maps import list_label_maps, read_label_map
from evaluation.labels import Classes
from evaluation.metrics import METRICS
from evaluation.settings import Settings

HIERARCHY = {"kidney_and_mass": (1, 2, 3), "mass": (2, 3), "tumor": (2,)}
TOLERANCES_MM = {
    "kidney_and_mass": 1.0330772532390826,
    "mass": 1.1328796488598762,
    "tumor": 1.1498198361434828,
}
"""Mean inter-rater surface distance (95th percentile) of KiTS21, also taken by KiTS23."""
NUM_GROUPS = 5
OWN_NAMES = ("segmentation.nii.gz", "aggregated_MAJ_seg.nii.gz")
KEYS = {"dice": "dice", "sd": "nsd"}
SETTINGS = Settings(both_empty="1", one_empty="0", tolerances_mm=TOLERANCES_MM, official_sums=True)


def score_hierarchy(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    spacing_mm: tuple[float, ...],
) -> Values:
    """Dice and surface Dice of the three hierarchical classes (KiTS21, KiTS23).

    Both empty: 1; one empty: 0.

    Args:
        reference: [z, y, x], 1 kidney, 2 tumor, 3 cyst.
        prediction: The same.
        spacing_mm: (z, y, x).
    """
    return score_classes(reference, prediction, spacing_mm, HIERARCHY, KEYS, SETTINGS)


def _score21(case: ProfileCase, mode: Mode) -> Values:
    """Mean over the sampled references (raters), or of the one reference."""
    references = case.raters or (case.reference,)
    parts = [score_hierarchy(item, case.prediction, case.spacing_mm) for item in references]
    return {
        name: {key: sum(part[name][key] for part in parts) / len(parts) for key in ("dice", "sd")}
        for name in HIERARCHY
    }


def _score23(case: ProfileCase, mode: Mode) -> Values:
    return score_hierarchy(case.reference, case.prediction, case.spacing_mm)


def _score19(case: ProfileCase, mode: Mode) -> Values:
    """Dice of everything, and of the tumor; 0/0 is not a number, as in the official program."""
    settings = Settings(both_empty="nan", one_empty="0")
    values: Values = {}
    for name, low in (("kidney", 0), ("tumor", 1)):
        first, second = case.reference > low, case.prediction > low
        size = int(first.sum()) + int(second.sum())
        both = settings.empty("both", worst=0, best=1, official=float("nan"))
        values[name] = {"dice": 2 * int((first & second).sum()) / size if size else both}
    return values


@dataclass(frozen=True)
class Sample:
    """One way to put a case's annotations together: files per class."""

    group: int
    files: dict[str, tuple[str, ...]]


def sample_annotations(segmentations: Path, seed: int) -> tuple[Sample, ...]:
    """The references of KiTS21: groups of combinations of the instances' annotations.

    Args:
        segmentations: Folder of `kidney_instance-1_annotation-2.nii.gz` and so on.
        seed: Number of the case.

    Raises:
        EvaluationError: The folder holds no such files.
    """
    found: dict[str, dict[int, list[int]]] = {"kidney": {}, "tumor": {}, "cyst": {}}
    for path in sorted(segmentations.glob("*_instance-*_annotation-*.nii.gz")):
        name, instance, annotation = path.name.removesuffix(".nii.gz").split("_")
        if name in found:
            numbers = found[name].setdefault(int(instance.split("-")[1]), [])
            numbers.append(int(annotation.split("-")[1]))
    counts = [len(numbers) for instances in found.values() for numbers in instances.values()]
    if not counts:
        raise EvaluationError(
            f"{segmentations}: holds no files like kidney_instance-1_annotation-1.nii.gz."
        )
    for instances in found.values():
        for numbers in instances.values():
            numbers.sort()
    random = np.random.RandomState(seed)  # the official program's generator
    samples = []
    for group in range(NUM_GROUPS):
        offsets = {
            name: [int(random.randint(0, len(numbers))) for _, numbers in sorted(instances.items())]
            for name, instances in found.items()
        }
        for index in range(min(counts)):
            samples.append(
                Sample(
                    group,
                    {
                        name: tuple(
                            f"{name}_instance-{instance}_annotation-"
                            f"{numbers[(offset + index) % len(numbers)]}.nii.gz"
                            for (instance, numbers), offset in zip(
                                sorted(instances.items()), offsets[name], strict=True
                            )
                        )
                        for name, instances in found.items()
                    },
                )
            )
    return tuple(samples)


def list_cases(folder: Path) -> dict[str, Path]:
    """Case → reference in the challenges' own layout, or of label maps that lie side by side.

    Their own is `case_00000/segmentation.nii.gz`, KiTS21's `case_00000/aggregated_MAJ_seg.nii.gz`.
    """
    found = {
        path.name: path / name
        for path in sorted(folder.glob("case_*"))
        for name in OWN_NAMES
        if (path / name).is_file()
    }
    return found or list_label_maps(folder)


def sampled_references(case: str, reference: Path) -> list[npt.NDArray[np.uint8]]:
    """The references of KiTS21, from the annotations beside a reference in its own layout."""
    segmentations, number = reference.parent / "segmentations", re.search(r"(\d+)$", case)
    if reference.name not in OWN_NAMES or number is None or not segmentations.is_dir():
        return []
    return list(build_references(segmentations, int(number[1])))


def build_references(segmentations: Path, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Label maps of all samples of a case; kidney, then cyst, then tumor, later ones on top."""
    for sample in sample_annotations(segmentations, seed):
        result: npt.NDArray[np.uint8] | None = None
        for name, value in (("kidney", 1), ("cyst", 3), ("tumor", 2)):
            for file in sample.files[name]:
                labels = read_label_map(segmentations / file).labels
                if result is None:
                    result = np.zeros(labels.shape, dtype=np.uint8)
                result[labels == 1] = value
        assert result is not None
        yield result


DICE_AND_SD = {key: METRICS[name] for key, name in KEYS.items()}
GROUPS = {"dice": ("dice",), "sd": ("sd",)}

KITS21 = Profile(
    title="KiTS21: kidney and mass, mass, tumor; mean over sampled references (--raters)",
    classes=Classes(members=HIERARCHY),
    metrics=DICE_AND_SD,
    score=_score21,
    list_cases=list_cases,
    references=sampled_references,
    groups=GROUPS,
    tie_break=("dice", "tumor"),
)
KITS23 = Profile(
    title="KiTS23: kidney and mass, mass, tumor",
    classes=Classes(members=HIERARCHY),
    metrics=DICE_AND_SD,
    score=_score23,
    list_cases=list_cases,
    groups=GROUPS,
    tie_break=("dice", "tumor"),
)
KITS19 = Profile(
    title="KiTS19: kidney (with tumor) and tumor, Dice",
    classes=Classes(members={"kidney": (1, 2), "tumor": (2,)}),
    metrics={"dice": METRICS["dice"]},
    score=_score19,
    list_cases=list_cases,
    groups={"dice": ("dice",)},
)
