"""Where the classes of a case are: voxels that forced-foreground patches are centred on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoseg.schema.labels import LabelScheme

MAX_LOCATIONS = 10_000
MIN_SHARE = 0.01
"""At least 10 000 voxels per class (or all), or 1 % of it where that is more."""

Locations = dict[str, npt.NDArray[np.int32]]


def foreground_locations(
    labels: npt.NDArray[np.integer], scheme: LabelScheme, rng: np.random.Generator
) -> Locations:
    """Samples voxels of every class.

    Args:
        labels: [z, y, x] indices.
        scheme: Which indices make a class.
        rng: Chooses the voxels of large classes.

    Returns:
        Class name → [n, 3] voxels (z, y, x); classes that are absent are left out. With an ignore
        label there is also "annotated": any voxel that somebody labelled.
    """
    groups = dict(zip(scheme.class_names, scheme.class_indices, strict=True))
    if scheme.ignore_index is not None:
        groups["annotated"] = tuple(range(scheme.num_indices))
    flat = labels.ravel()
    # One sort finds the voxels of all labels at once.
    foreground = np.flatnonzero(flat)
    values = flat[foreground]
    order = np.argsort(values, kind="stable")
    bounds = np.searchsorted(values[order], np.arange(scheme.num_indices + 2))
    locations: Locations = {}
    for name, indices in groups.items():
        parts = [
            np.flatnonzero(flat == 0)
            if index == 0
            else foreground[order[bounds[index] : bounds[index + 1]]]
            for index in indices
        ]
        found = np.concatenate(parts)
        if len(found) == 0:
            continue
        wanted = max(MAX_LOCATIONS, int(MIN_SHARE * len(found)))
        if len(found) > wanted:
            found = rng.choice(found, wanted, replace=False)
        locations[name] = np.stack(np.unravel_index(found, labels.shape), axis=1).astype(np.int32)
    return locations
