"""Medical Segmentation Decathlon: Dice and surface Dice at a tolerance per task."""

from __future__ import annotations

from evaluation.challenges.by_class import score_classes
from evaluation.challenges.profile import Mode, Profile, ProfileCase, Values
from evaluation.labels import Classes
from evaluation.metrics import METRICS
from evaluation.settings import Settings

TASKS: dict[str, tuple[float, dict[str, tuple[int, ...]]]] = {
    "brain": (5, {"edema": (1,), "non_enhancing_tumor": (2,), "enhancing_tumor": (3,)}),
    "heart": (4, {"left_atrium": (1,)}),
    "liver": (7, {"liver": (1,), "tumor": (2,)}),
    "hippocampus": (1, {"anterior": (1,), "posterior": (2,)}),
    "prostate": (4, {"peripheral_zone": (1,), "transition_zone": (2,)}),
    "lung": (2, {"tumor": (1,)}),
    "pancreas": (5, {"pancreas": (1,), "tumor": (2,)}),
    "hepatic_vessel": (3, {"vessel": (1,), "tumor": (2,)}),
    "spleen": (3, {"spleen": (1,)}),
    "colon": (4, {"tumor": (1,)}),
}
"""Task → tolerance in mm and classes.

The tolerances are those that are quoted for the challenge; no official table was at hand to check
them, which every summary says.
"""
KEYS = ("dice", "nsd")
NOTE = "the tolerances of the Decathlon's tasks were not checked against an official table"


def profile(task: str) -> Profile:
    """The profile of a task of `TASKS`."""
    tolerance, members = TASKS[task]
    settings = Settings(both_empty="nan", one_empty="0", tolerance_mm=tolerance)

    def score(case: ProfileCase, mode: Mode) -> Values:
        given = (case.reference, case.prediction, case.spacing_mm)
        return score_classes(*given, members, {key: key for key in KEYS}, settings)

    return Profile(
        title=f"Decathlon, {task}: Dice and surface Dice at {tolerance:g} mm ({NOTE})",
        classes=Classes(members=members),
        metrics={key: METRICS[key] for key in KEYS},
        score=score,
        groups={"dice": ("dice",), "nsd": ("nsd",)},
        significance=True,
    )
