"""Volumes in millilitres."""

from __future__ import annotations

from evaluation.confusion import Counts


def volume_ml(voxels: int, voxel_ml: float) -> float:
    """Volume of a number of voxels."""
    return voxels * voxel_ml


def volume_difference_ml(counts: Counts, voxel_ml: float) -> float:
    """Predicted minus reference volume."""
    return (counts.predicted - counts.reference) * voxel_ml
