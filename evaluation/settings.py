"""What a reader may choose about metrics: empty-mask policy, tolerances, variants, bins."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from evaluation.errors import EvaluationError

Surface = Literal["deepmind", "medpy", "monai", "monai_subvoxels", "metrics_reloaded"]
SURFACES: tuple[Surface, ...] = get_args(Surface)
Region = Literal["image", "box", "band"]
REGIONS: tuple[Region, ...] = get_args(Region)
ANY_SIZE = (0.0, math.inf)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
POLICIES = ("nan", "worst", "best", "inf", "official")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Choices; the defaults are what is reported where nobody asks for something else.

    Attributes:
        both_empty: Value where neither mask has a voxel: nan (does not count), worst, best, inf,
            official (what the program that `surface` names returns) or a number.
        one_empty: Value where one mask is empty; worst is the image diagonal for distances and 0
            for shares, so that a structure that was missed never leaves the mean.
        tolerance_mm: Surface distance that counts as agreement.
        tolerances_mm: Other tolerances by class.
        surface: Whose definition of surface, percentile and mean is taken. The default weights
            surface elements by their area and takes the worse of the two directions: it depends
            neither on the voxel size nor on thick slices, and surface Dice has the same surface.
        surface_connectivity: Neighbourhood of the erosion that leaves the surface voxels of the
            voxel variants, 1 (faces) to 3 (corners).
        official_sums: Sum areas in the order of DeepMind's program, for its last digits.
        connectivity: Of lesions: 6, 18 or 26 (in 2D 4 or 8).
        lesion_iou: IoU from which two lesions match, one to one; None: one common voxel is
            enough and a prediction may match several (as ISLES'22 counts).
        lesion_ml: Smallest and largest volume (exclusive) of the lesions that are scored.
        num_bins: Bins of calibration errors.
        norm: 1: mean absolute gap; 2: root of the mean squared gap.
        adaptive: Bins of equal numbers of voxels instead of equal width.
        region: Voxels that calibration looks at: image, box (around the reference's foreground)
            or band (near a border between reference labels).
        margin: Voxels around the box, and half the width of the band.
        credibility: Probability mass of the volume interval.
        crps: exact: closed form; official: the integral of the CURVAS challenges, which saturates
            and is 0 where raters agree.
        thresholds: Of the soft Dice.
    """

    both_empty: str = "nan"
    one_empty: str = "worst"
    tolerance_mm: float = 1.0
    tolerances_mm: dict[str, float] = field(default_factory=dict)
    surface: Surface = "deepmind"
    surface_connectivity: int = 1
    official_sums: bool = False
    connectivity: int = 26
    lesion_iou: float | None = None
    lesion_ml: tuple[float, float] = ANY_SIZE
    num_bins: int = 15
    norm: Literal[1, 2] = 1
    adaptive: bool = False
    region: Region = "image"
    margin: int = 5
    credibility: float = 0.9
    crps: Literal["exact", "official"] = "exact"
    thresholds: tuple[float, ...] = THRESHOLDS

    def __post_init__(self) -> None:
        for name in ("both_empty", "one_empty"):
            _check_policy(name, getattr(self, name))
        if self.surface not in SURFACES:
            raise EvaluationError(f"Surface '{self.surface}': known are {', '.join(SURFACES)}.")
        if self.connectivity not in (4, 6, 8, 18, 26):
            raise EvaluationError(
                f"Connectivity {self.connectivity}: known are 6, 18, 26 (2D 4, 8)."
            )
        if self.region not in REGIONS:
            raise EvaluationError(f"Region '{self.region}': known are {', '.join(REGIONS)}.")
        if self.num_bins < 1 or self.margin < 0 or not 0 < self.credibility < 1:
            raise EvaluationError("Bins must be at least 1, the margin 0, credibility in (0, 1).")
        for tolerance in (self.tolerance_mm, *self.tolerances_mm.values()):
            if not 0 <= tolerance < math.inf:
                raise EvaluationError(f"Tolerance {tolerance}: expected millimetres, 0 or more.")

    @property
    def has_elements(self) -> bool:
        """Whether surfaces are elements with areas instead of border voxels."""
        return self.surface in ("deepmind", "monai_subvoxels")

    def tolerance_of(self, label: str) -> float:
        """Tolerance of a class in mm."""
        return self.tolerances_mm.get(label, self.tolerance_mm)

    def empty(self, which: str, *, worst: float, best: float, official: float = math.nan) -> float:
        """Value for empty masks.

        Args:
            which: "both" or "one".
            worst: The metric's worst value.
            best: The metric's best value.
            official: What the program of the variant returns, where there is one.
        """
        policy = self.both_empty if which == "both" else self.one_empty
        values = {"nan": math.nan, "worst": worst, "best": best, "inf": math.inf}
        values["official"] = official
        return values[policy] if policy in values else float(policy)


def _check_policy(name: str, policy: str) -> None:
    if policy in POLICIES:
        return
    try:
        float(policy)
    except ValueError:
        raise EvaluationError(
            f"{name.replace('_', ' ')} '{policy}': expected a number or {', '.join(POLICIES)}."
        ) from None


VARIANTS: tuple[tuple[str, str, Any], ...] = (
    ("surface", "|".join(SURFACES), lambda match: {"surface": match[0]}),
    ("tolerance_mm", r"([\d.]+)mm", lambda match: {"tolerance_mm": float(match[1])}),
    ("connectivity", r"conn(6|18|26|4|8)", lambda match: {"connectivity": int(match[1])}),
    ("lesion_iou", r"iou(0?\.\d+|1)", lambda match: {"lesion_iou": float(match[1])}),
    (
        "lesion_ml",
        r"([\d.]*)-([\d.]*)ml",
        lambda match: {"lesion_ml": (float(match[1] or 0), float(match[2] or math.inf))},
    ),
    ("num_bins", r"bins(\d+)", lambda match: {"num_bins": int(match[1])}),
    ("norm", "l1|l2", lambda match: {"norm": int(match[0][1])}),
    ("adaptive", "adaptive", lambda _: {"adaptive": True}),
    ("crps", "exact|official", lambda match: {"crps": match[0]}),
    ("region", "|".join(REGIONS), lambda match: {"region": match[0]}),
)
"""What may stand behind a metric's name: the setting, its pattern, and what it means."""


def apply_variants(settings: Settings, texts: list[str], accepts: tuple[str, ...]) -> Settings:
    """Settings of `name:variant:variant`.

    Raises:
        EvaluationError: The variant is unknown or not one of this metric.
    """
    for text in texts:
        for name, pattern, meaning in VARIANTS:
            match = re.fullmatch(pattern, text)
            if match and name in accepts:
                changes = meaning(match)
                if name == "tolerance_mm":
                    changes["tolerances_mm"] = {}
                settings = replace(settings, **changes)
                break
        else:
            known = [pattern for name, pattern, _ in VARIANTS if name in accepts]
            listed = ", ".join(known) if known else "none"
            raise EvaluationError(f"Variant '{text}' is unknown; this metric has: {listed}.")
    return settings
