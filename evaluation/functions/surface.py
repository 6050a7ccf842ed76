"""Distances between the surfaces of two masks.

Each takes a reference and a prediction: masks [z, y, x] or [y, x] of one shape, every value but 0
is foreground; and the voxel size per axis (None: 1 mm). `surface` names the program whose
definition of distance is taken. Empty masks have the values of the policies `both_empty` (nan) and
`one_empty` (the image diagonal; of surface Dice 0). What the settings mean says
`evaluation.Settings`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from evaluation.functions.arrays import of_masks
from evaluation.metrics import METRICS
from evaluation.settings import Settings, Surface


def hd(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    surface: Surface = "deepmind",
    surface_connectivity: int = 1,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Hausdorff distance.

    Millimetres; lower is better.
    """
    return of_masks(
        METRICS["hd"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            surface=surface,
            surface_connectivity=surface_connectivity,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def hd95(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    surface: Surface = "deepmind",
    surface_connectivity: int = 1,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """95th percentile of the Hausdorff distance.

    Millimetres; lower is better.
    """
    return of_masks(
        METRICS["hd95"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            surface=surface,
            surface_connectivity=surface_connectivity,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def asd(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    surface: Surface = "deepmind",
    surface_connectivity: int = 1,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Average surface distance, prediction → reference.

    Millimetres; lower is better.
    """
    return of_masks(
        METRICS["asd"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            surface=surface,
            surface_connectivity=surface_connectivity,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def assd(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    surface: Surface = "deepmind",
    surface_connectivity: int = 1,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Average symmetric surface distance.

    Millimetres; lower is better. Both directions are pooled.
    """
    return of_masks(
        METRICS["assd"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            surface=surface,
            surface_connectivity=surface_connectivity,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def masd(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    surface: Surface = "deepmind",
    surface_connectivity: int = 1,
    both_empty: str = "nan",
    one_empty: str = "worst",
) -> float:
    """Mean of the two average surface distances.

    Millimetres; lower is better.
    """
    return of_masks(
        METRICS["masd"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            surface=surface,
            surface_connectivity=surface_connectivity,
            both_empty=both_empty,
            one_empty=one_empty,
        ),
    )


def nsd(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing_mm: Sequence[float] | None = None,
    *,
    tolerance_mm: float = 1.0,
    surface: Surface = "deepmind",
    surface_connectivity: int = 1,
    both_empty: str = "nan",
    one_empty: str = "worst",
    official_sums: bool = False,
) -> float:
    """Normalised surface Dice at a tolerance.

    0 … 1: share of both surfaces that lies within `tolerance_mm` of the other one.
    """
    return of_masks(
        METRICS["nsd"],
        reference,
        prediction,
        spacing_mm,
        Settings(
            tolerance_mm=tolerance_mm,
            surface=surface,
            surface_connectivity=surface_connectivity,
            both_empty=both_empty,
            one_empty=one_empty,
            official_sums=official_sums,
        ),
    )
