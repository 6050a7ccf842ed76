"""One case: from image files to network input, and from logits back to a label map.

`preprocess_case` makes a CaseTrace, `restore_prediction` uses it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images import read_case, read_image
from autoseg.preprocessing.crop import Box, nonzero_box, nonzero_mask, slices
from autoseg.preprocessing.normalisation import NORMALISATIONS
from autoseg.preprocessing.resample import (
    coarse_axis,
    resample_labels,
    resample_volume,
    target_shape,
)
from autoseg.schema.dataset import Case
from autoseg.schema.geometry import Geometry
from autoseg.schema.labels import LabelScheme
from autoseg.schema.plan import Configuration

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class CaseTrace:
    """What was done to an image, so that a prediction can be brought back.

    Attributes:
        geometry: The image as it was read.
        axes: Permutation of the array axes (orientation, then transposition).
        flips: Which of the permuted axes were reversed.
        crop: Box in the permuted image.
        shape: Shape after resampling, which is the prediction's.
        spacing_mm: Spacing of the permuted image before resampling.
        target_mm: Spacing after resampling.
    """

    geometry: Geometry
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    crop: Box
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    target_mm: tuple[float, float, float]

    @property
    def crop_shape(self) -> tuple[int, int, int]:
        """Shape of the crop before resampling."""
        return tuple(stop - start for start, stop in self.crop)  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class PreprocessedCase:
    """Network input.

    Attributes:
        image: [c, z, y, x] float32.
        labels: [z, y, x] indices of the label scheme, or None for unlabelled cases.
        trace: How it was made.
    """

    image: Floats
    labels: Labels | None
    trace: CaseTrace


def preprocess_case(case: Case, configuration: Configuration) -> PreprocessedCase:
    """Reads and preprocesses one case: orient, transpose, crop, normalise, resample.

    Raises:
        ImageError: A file cannot be read or does not fit the configuration.
    """
    image, geometry = read_case(case.images)
    labels = read_reference(case, configuration.labels) if case.annotations else None
    if labels is not None and labels.shape != geometry.shape:
        raise ImageError(
            f"{case.annotations[0]}: shape {labels.shape} differs from the image's "
            f"{geometry.shape}. Re-export the label or remove the case."
        )
    return preprocess_array(image, geometry, configuration, labels=labels, name=str(case.images[0]))


def preprocess_array(
    image: Floats,
    geometry: Geometry,
    configuration: Configuration,
    *,
    labels: Labels | None = None,
    name: str = "image",
) -> PreprocessedCase:
    """Preprocesses an image that is in memory.

    Args:
        image: [c, z, y, x] float32, not changed.
        geometry: Its geometry.
        configuration: What to do.
        labels: [z, y, x] indices, or None.
        name: For messages.

    Raises:
        ImageError: The number of channels differs from the plan's.
    """
    if image.shape[0] != len(configuration.channels):
        names = ", ".join(channel.name for channel in configuration.channels)
        raise ImageError(
            f"{name}: has {image.shape[0]} channels, the model expects "
            f"{len(configuration.channels)} ({names})."
        )
    axes, flips = _permutation(geometry, configuration)
    image = _permute(image, axes, flips)
    spacing = tuple(geometry.spacing_mm[axis] for axis in axes)
    crop = nonzero_box(image)
    image = image[(slice(None), *slices(crop))]
    if labels is not None:
        labels = _permute(labels[None], axes, flips)[0][slices(crop)]
    channels = _normalise(image, configuration)
    target = tuple(
        have if want is None else want
        for have, want in zip(spacing, configuration.spacing_mm, strict=True)
    )
    shape = target_shape(channels[0].shape, spacing, target)
    coarse = coarse_axis(spacing, target)
    resampled = [resample_volume(item, shape, order=3, coarse=coarse) for item in channels]
    if labels is not None:
        labels = np.ascontiguousarray(resample_labels(labels, shape, coarse=coarse))
    trace = CaseTrace(
        geometry=geometry,
        axes=axes,
        flips=flips,
        crop=crop,
        shape=shape,  # type: ignore[arg-type]
        spacing_mm=spacing,  # type: ignore[arg-type]
        target_mm=target,  # type: ignore[arg-type]
    )
    return PreprocessedCase(image=np.stack(resampled), labels=labels, trace=trace)


def read_reference(case: Case, scheme: LabelScheme) -> Labels:
    """Reads the label map of a case as indices; several raters are joined by majority.

    A tie goes to the foreground, and there to the lower index, so that with two raters of four
    a voxel is foreground (the 50 % consensus that LIDC studies use).

    Raises:
        ImageError: A label value is unknown, or the raters' maps differ in shape.
    """
    maps = [_encode(path, scheme) for path in case.annotations]
    if len(maps) == 1:
        return maps[0]
    if len({item.shape for item in maps}) > 1:
        raise ImageError(f"Case '{case.identifier}': the raters' label maps differ in shape.")
    return majority(maps, len(scheme.known_values))


def majority(maps: Sequence[Labels], num_indices: int) -> Labels:
    """Most frequent index per voxel; ties go to the foreground and there to the lower index."""
    stack = np.stack(maps)
    best = np.zeros(stack.shape[1:], dtype=np.uint8)
    result = np.zeros_like(maps[0])
    for index in [*range(1, num_indices), 0]:
        votes = (stack == index).sum(axis=0, dtype=np.uint8)
        better = votes > best
        best[better] = votes[better]
        result[better] = index
    return result


def _encode(path: Path, scheme: LabelScheme) -> Labels:
    array, _ = read_image(path)
    if array.shape[0] != 1:
        raise ImageError(f"{path}: a label map has one channel, this file has {array.shape[0]}.")
    try:
        rounded = array[0] if array.dtype.kind in "iub" else np.rint(array[0]).astype(np.int64)
        return scheme.encode(rounded)
    except ValueError as error:
        known = ", ".join(map(str, scheme.known_values[:12]))
        raise ImageError(
            f"{path}: holds the label value {error}; dataset.json knows {known}. "
            "Add it to dataset.json or correct the file."
        ) from None


def _permutation(
    geometry: Geometry, configuration: Configuration
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    axes: tuple[int, ...] = (0, 1, 2)
    flips: tuple[bool, ...] = (False, False, False)
    if configuration.orientation is not None:
        axes, flips = geometry.to_canonical(configuration.orientation)
    order = configuration.transpose
    return (
        tuple(axes[axis] for axis in order),  # type: ignore[return-value]
        tuple(flips[axis] for axis in order),
    )


def _permute(image: npt.NDArray[np.generic], axes: Sequence[int], flips: Sequence[bool]) -> Floats:
    """Permutes and reverses the last three axes of [c, z, y, x]."""
    permuted = image.transpose(0, *(axis + 1 for axis in axes))
    return permuted[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]  # type: ignore[return-value]


def _unpermute(volume: Labels, axes: Sequence[int], flips: Sequence[bool]) -> Labels:
    """Inverse of `_permute` for [z, y, x]."""
    flipped = volume[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return flipped.transpose(np.argsort(axes))


def _normalise(image: Floats, configuration: Configuration) -> list[Floats]:
    needs_mask = any(channel.use_mask for channel in configuration.channels)
    mask = nonzero_mask(image) if needs_mask else None
    return [
        NORMALISATIONS[plan.normalisation](
            channel.astype(np.float32), mask if plan.use_mask else None, plan.statistics
        )
        for channel, plan in zip(image, configuration.channels, strict=True)
    ]


def one_hot(indices: npt.NDArray[np.generic], num_indices: int) -> npt.NDArray[np.bool_]:
    """Masks of the foreground indices: [num_indices - 1, *space]."""
    foreground = np.arange(1, num_indices).reshape(-1, *([1] * indices.ndim))
    masks: npt.NDArray[np.bool_] = indices[None] == foreground
    return masks


def transfer(channels: Floats, source: CaseTrace, target: CaseTrace) -> Floats:
    """Resamples predictions from one configuration's grid to another's, of the same image.

    Args:
        channels: [c, *source.shape].
        source: How the case was preprocessed for the first configuration.
        target: How it was for the second.

    Returns:
        [c, *target.shape] float32, linear.
    """
    spacing = [0.0, 0.0, 0.0]
    for position, axis in enumerate(source.axes):
        spacing[axis] = source.target_mm[position]
    here = tuple(spacing[axis] for axis in target.axes)
    coarse = coarse_axis(here, target.target_mm)
    parts = []
    for channel in channels:
        plain = _unpermute(np.asarray(channel, dtype=np.float32), source.axes, source.flips)
        turned = np.ascontiguousarray(_permute(plain[None], target.axes, target.flips)[0])
        parts.append(resample_volume(turned, target.shape, order=1, coarse=coarse))
    return np.stack(parts)


def restore_prediction(
    logits: Floats, trace: CaseTrace, scheme: LabelScheme
) -> npt.NDArray[np.integer]:
    """Turns logits into a label map on the grid of the original image.

    Channels are resampled one at a time against a running maximum, so that no array of all
    classes at full resolution exists.

    Args:
        logits: [channels, *trace.shape].
        trace: From `preprocess_case`.
        scheme: Label scheme of the model.

    Returns:
        [z, y, x] raw label values in the smallest unsigned type that holds them.
    """
    shape = trace.crop_shape
    dtype = scheme.output_dtype()
    coarse = coarse_axis(trace.target_mm, trace.spacing_mm)

    def channel(index: int) -> Floats:
        part = np.asarray(logits[index], dtype=np.float32)
        return resample_volume(part, shape, order=1, coarse=coarse)

    values: npt.NDArray[np.integer] = np.zeros(shape, dtype=dtype)
    if scheme.regions_order is not None:
        for index, value in enumerate(scheme.regions_order):
            values[channel(index) > 0] = value
    else:
        best = channel(0).copy()
        for index, value in enumerate(scheme.foreground_values, start=1):
            here = channel(index)
            better = here > best
            values[better] = value
            np.maximum(best, here, out=best)
    return _uncrop(values, trace)


def restore_probabilities(logits: Floats, trace: CaseTrace, scheme: LabelScheme) -> Floats:
    """Softmax (or sigmoid of regions) on the grid of the original image.

    Outside the crop the background has probability 1 and regions have 0.

    Returns:
        [channels, z, y, x] float32.
    """
    coarse = coarse_axis(trace.target_mm, trace.spacing_mm)
    resampled = np.stack(
        [
            resample_volume(
                np.asarray(part, dtype=np.float32), trace.crop_shape, order=1, coarse=coarse
            )
            for part in logits
        ]
    )
    if scheme.has_regions:
        resampled = (1 / (1 + np.exp(-np.clip(resampled, -80, 80)))).astype(np.float32)
    else:
        resampled -= resampled.max(axis=0, keepdims=True)
        np.exp(resampled, out=resampled)
        resampled /= resampled.sum(axis=0, keepdims=True)
    outside = [0.0] * len(logits) if scheme.has_regions else [1.0] + [0.0] * (len(logits) - 1)
    return np.stack(
        [_uncrop(part, trace, fill=fill) for part, fill in zip(resampled, outside, strict=True)]
    ).astype(np.float32)


def _uncrop(volume: npt.NDArray[np.generic], trace: CaseTrace, fill: float = 0) -> Labels:
    shape = tuple(trace.geometry.shape[axis] for axis in trace.axes)
    full = np.full(shape, fill, dtype=volume.dtype)
    full[slices(trace.crop)] = volume
    return np.ascontiguousarray(_unpermute(full, trace.axes, trace.flips))
