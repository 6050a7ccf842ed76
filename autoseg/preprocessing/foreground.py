"""Where the classes of a case are: voxels that forced-foreground patches are centred on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.labels import LabelScheme

MAX_LOCATIONS = 10_000
MIN_SHARE = 0.01
"""At least 10 000 voxels per class (or all), or 1 % of it where that is more."""

Voxels = npt.NDArray[np.int32]
Locations = dict[str, Voxels]


def foreground_locations(
    labels: npt.NDArray[np.integer], scheme: LabelScheme, rng: np.random.Generator
) -> Locations:
    """Samples voxels of every class.

    Args:
        labels: [z, y, x] indices.
        scheme: Which indices make a class.
        rng: Chooses the voxels of large classes.

    Returns:
        Class name → [n, 3] voxels (z, y, x); classes that are absent are left out.
    """
    flat = labels.ravel()
    # One sort finds the voxels of all labels at once.
    foreground = np.flatnonzero(flat)
    values = flat[foreground]
    order = np.argsort(values, kind="stable")
    bounds = np.searchsorted(values[order], np.arange(scheme.num_indices + 1))
    locations: Locations = {}
    for name, indices in zip(scheme.class_names, scheme.class_indices, strict=True):
        parts = [foreground[order[bounds[index] : bounds[index + 1]]] for index in indices]
        found = np.concatenate(parts)
        if len(found):
            locations[name] = _sample(found, labels.shape, rng)
    return locations


def annotated_voxels(
    labels: npt.NDArray[np.integer], scheme: LabelScheme, rng: np.random.Generator
) -> Voxels | None:
    """Samples voxels that somebody labelled, background included.

    Args:
        labels: [z, y, x] indices.
        scheme: Which index is ignored.
        rng: Chooses among many.

    Returns:
        [n, 3] voxels (z, y, x); None without an ignore label, or where everything is ignored.
    """
    if scheme.ignore_index is None:
        return None
    flat = labels.ravel()
    found = np.flatnonzero(flat != scheme.ignore_index)
    if len(found) == 0:
        return None
    # Ordered by label: what a seed chooses depends on the order.
    return _sample(found[np.argsort(flat[found], kind="stable")], labels.shape, rng)


def _sample(
    found: npt.NDArray[np.intp], shape: tuple[int, ...], rng: np.random.Generator
) -> Voxels:
    """Some of the voxels, given as flat indices: [n, 3]."""
    wanted = max(MAX_LOCATIONS, int(MIN_SHARE * len(found)))
    if len(found) > wanted:
        found = rng.choice(found, wanted, replace=False)
    return np.stack(np.unravel_index(found, shape), axis=1).astype(np.int32)
