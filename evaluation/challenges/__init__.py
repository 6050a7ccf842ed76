"""Table of challenge profiles: scores as the official programs give them, or without their bugs."""

from __future__ import annotations

from evaluation.challenges import curvas2024, isles, kits, msd, pdacvi2025, qubiq
from evaluation.challenges.profile import Mode, NotDefinedError, Profile, ProfileCase, Values
from evaluation.errors import EvaluationError

PROFILES: dict[str, Profile] = {
    "kits19": kits.KITS19,
    "kits21": kits.KITS21,
    "kits23": kits.KITS23,
    "isles22": isles.ISLES22,
    "isles22_atlas": isles.ATLAS,
    "curvas2024": curvas2024.PROFILE,
    "curvas_pdacvi2025": pdacvi2025.PROFILE,
    "qubiq": qubiq.PROFILE,
    **{f"msd:{task}": msd.profile(task) for task in msd.TASKS},
}


def find_profile(name: str) -> Profile:
    """Profile of a name.

    Raises:
        EvaluationError: It is unknown.
    """
    if name in PROFILES:
        return PROFILES[name]
    if tasks := [other for other in PROFILES if other.startswith(f"{name}:")]:
        raise EvaluationError(f"Profile '{name}' needs a task: {', '.join(tasks)}.")
    raise EvaluationError(f"Profile '{name}' is unknown; known are {', '.join(PROFILES)}.")


__all__ = [
    "PROFILES",
    "Mode",
    "NotDefinedError",
    "Profile",
    "ProfileCase",
    "Values",
    "find_profile",
]
