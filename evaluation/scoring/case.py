"""Files of one case, read and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.label_maps import LabelMap, geometry_fault, read_label_map
from evaluation.scoring.consensus import Consensus, merge

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Files of one case.

    Attributes:
        case: Its name.
        reference: Label map; None: made from the raters.
        raters: Label map by rater.
        predictions: Label map by method; a missing prediction is None.
        probabilities: Files by method; None where a method has some, but not of this case.
    """

    case: str
    reference: Path | None
    raters: Mapping[str, Path] = field(default_factory=dict)
    predictions: Mapping[str, Path | None]
    probabilities: Mapping[str, tuple[Path, ...] | None] = field(default_factory=dict)


def read_checked(path: Path, like: LabelMap | None) -> LabelMap:
    """Reads a label map and checks that it lies on another's grid."""
    found = read_label_map(path)
    if like is not None:
        check_grid(found, like, path)
    return found


def check_grid(found: LabelMap, like: LabelMap, path: Path) -> None:
    """Refuses a label map that lies on another grid.

    Raises:
        EvaluationError: See above.
    """
    if fault := geometry_fault(like, found, path):
        raise EvaluationError(f"{path}: {fault}. Export it on the reference's grid.")


def load_case(
    files: CaseFiles, consensus: Consensus, ignore: int | None = None
) -> tuple[dict[str, LabelMap], LabelMap, dict[Path, LabelMap]]:
    """Raters, reference, and the first prediction, which is read at the same time."""
    first = next((path for path in files.predictions.values() if path is not None), None)
    with ThreadPoolExecutor(1) as executor:
        early = None if first is None else executor.submit(read_label_map, first)
        reference = None if files.reference is None else read_label_map(files.reference)
        raters: dict[str, LabelMap] = {}
        for name, path in files.raters.items():
            known = reference or next(iter(raters.values()), None)
            raters[name] = read_checked(path, known)
        if reference is None:
            reference = merge(list(raters.values()), consensus, ignore)
        read = {} if early is None or first is None else {first: early.result()}
    return raters, reference, read


def load_labels(
    path: Path | None, read: dict[Path, LabelMap], reference: LabelMap
) -> npt.NDArray[np.integer] | None:
    """Labels of a prediction, which are read once and lie on the reference's grid."""
    if path is None:
        return None
    found = read.pop(path, None) or read_label_map(path)
    check_grid(found, reference, path)
    return found.labels
