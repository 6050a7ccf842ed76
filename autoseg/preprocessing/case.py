"""One case: from image files to network input, and from logits back to a label map.

`preprocess_case` makes a CaseTrace, `to_image` says with it how a prediction comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from autoseg.errors import ImageError
from autoseg.images.files import read_case
from autoseg.preprocessing.crop import Box, nonzero_box, nonzero_mask, slices
from autoseg.preprocessing.normalisation import NORMALISATIONS
from autoseg.preprocessing.raters import Labels, read_raters
from autoseg.preprocessing.resample import (
    coarse_axis,
    resample_volume,
    target_shape,
)
from autoseg.preprocessing.resample_labels import resample_labels
from autoseg.schema.dataset import Case
from autoseg.schema.geometry import Geometry
from autoseg.schema.orientation import Turn
from autoseg.schema.plan import Configuration
from autoseg.schema.triple import triple

Floats = npt.NDArray[np.float32]
AS_IT_IS: Turn = ((0, 1, 2), (False, False, False))


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
        return triple(stop - start for start, stop in self.crop)


@dataclass(frozen=True, kw_only=True)
class PreprocessedCase:
    """Network input.

    Attributes:
        image: [c, z, y, x] float32.
        labels: [r, z, y, x] indices of the label scheme, one map per rater; None for unlabelled
            cases.
        trace: How it was made.
        source: The cropped image before normalisation, [c, z, y, x]; only for networks that get
            `image_labels`, and where it has zeros around its object, see `with_image_labels`.
    """

    image: Floats
    labels: Labels | None
    trace: CaseTrace
    source: Floats | None = None


def preprocess_case(case: Case, configuration: Configuration) -> PreprocessedCase:
    """Reads and preprocesses one case: orient, transpose, crop, normalise, resample.

    Raises:
        ImageError: A file cannot be read or does not fit the configuration.
    """
    image, geometry = read_case(case.images, num_channels=len(configuration.channels))
    labels = read_raters(case, configuration.labels) if case.annotations else None
    if labels is not None and labels.shape[1:] != geometry.shape:
        raise ImageError(
            f"{case.annotations[0]}: shape {labels.shape[1:]} differs from the image's "
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
        labels: [r, z, y, x] indices, one map per rater, or None.
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
    turn, order = _turn_to(configuration, geometry), configuration.transpose
    axes, flips = triple(turn[0][axis] for axis in order), triple(turn[1][axis] for axis in order)
    image = _permute(_turned(image, turn), order, AS_IT_IS[1])
    spacing = tuple(geometry.spacing_mm[axis] for axis in axes)
    crop = nonzero_box(image)
    image = image[(slice(None), *slices(crop))]
    if labels is not None:
        labels = _permute(labels, axes, flips)[(slice(None), *slices(crop))]
    stage = configuration.previous
    on_image = stage is not None and stage.kind == "image_labels"
    needs_mask = on_image or any(channel.use_mask for channel in configuration.channels)
    mask = nonzero_mask(image) if needs_mask else None
    target = tuple(
        have if want is None else want
        for have, want in zip(spacing, configuration.spacing_mm, strict=True)
    )
    shape = target_shape(image.shape[1:], spacing, target)
    coarse = coarse_axis(spacing, target)
    made = _normalise_and_resample(image, configuration, mask, shape, coarse)
    if labels is not None:
        labels = np.stack([resample_labels(rater, shape, coarse=coarse) for rater in labels])
    trace = CaseTrace(
        geometry=geometry,
        axes=axes,
        flips=flips,
        crop=crop,
        shape=triple(shape),
        spacing_mm=triple(spacing),
        target_mm=triple(target),
    )
    source = image if on_image and mask is not None and not mask.all() else None
    return PreprocessedCase(image=made, labels=labels, trace=trace, source=source)


def _turn_to(configuration: Configuration, geometry: Geometry) -> Turn:
    """How an image comes into the orientation of the training images."""
    if configuration.orientation is None:
        return AS_IT_IS
    return geometry.turn_to(configuration.orientation)


def _turned(image: Floats, turn: Turn) -> Floats:
    """The image, in memory as it lies there when it is stored so: sums round by their order."""
    return image if turn == AS_IT_IS else np.ascontiguousarray(_permute(image, *turn))


def _permute(image: npt.NDArray[np.generic], axes: Sequence[int], flips: Sequence[bool]) -> Floats:
    """Permutes and reverses the last three axes of [c, z, y, x]."""
    permuted = image.transpose(0, *(axis + 1 for axis in axes))
    return permuted[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]  # type: ignore[return-value]


def _normalise_and_resample(
    image: Floats,
    configuration: Configuration,
    mask: npt.NDArray[np.bool_] | None,
    shape: Sequence[int],
    coarse: int | None,
) -> Floats:
    """The network's image [c, *shape] of a cropped one."""
    channels = [
        NORMALISATIONS[plan.normalisation](
            channel.astype(np.float32), mask if plan.use_mask else None, plan.statistics
        )
        for channel, plan in zip(image, configuration.channels, strict=True)
    ]
    return np.stack([resample_volume(item, shape, order=3, coarse=coarse) for item in channels])


def one_hot(indices: npt.NDArray[np.generic], num_indices: int) -> npt.NDArray[np.bool_]:
    """Masks of the foreground indices: [num_indices - 1, *space]."""
    foreground = np.arange(1, num_indices).reshape(-1, *([1] * indices.ndim))
    masks: npt.NDArray[np.bool_] = indices[None] == foreground
    return masks


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """How predictions on a network's grid come onto another grid of the same image.

    Attributes:
        shape: Voxels that the network's grid is resampled to, along its own axes.
        coarse: Axis that is resampled by nearest neighbour, see `coarse_axis`.
        axes: For each axis of the network's grid the axis of the other array.
        flips: Which of the network's axes run against the other array's.
        crop: Where the resampled grid lies in the other array, along the network's axes.
        full_shape: Shape of the other array.
    """

    shape: tuple[int, int, int]
    coarse: int | None
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    crop: Box
    full_shape: tuple[int, int, int]

    def view(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The part of the other array that is predicted, along the network's axes.

        Args:
            array: [c, *full_shape].

        Returns:
            [c, *shape], a view.
        """
        return _permute(array, self.axes, self.flips)[(slice(None), *slices(self.crop))]

    def placed(self, shape: tuple[int, int, int], box: Sequence[slice] | None) -> Restoration:
        """The same where the other array was cut out of a larger one.

        Args:
            shape: Shape of the larger one.
            box: Where the other array lies in it, or None where they are the same.
        """
        if box is None:
            return self
        crop = []
        for axis, flip, (start, stop) in zip(self.axes, self.flips, self.crop, strict=True):
            before = shape[axis] - box[axis].stop if flip else box[axis].start
            crop.append((start + before, stop + before))
        return replace(self, crop=(crop[0], crop[1], crop[2]), full_shape=shape)

    @property
    def other_shape(self) -> tuple[int, int, int]:
        """`shape`, along the axes of the other array."""
        return triple(self.shape[self.axes.index(axis)] for axis in range(3))

    def turned(self, window: Sequence[slice]) -> tuple[slice, slice, slice]:
        """A window of what is predicted: from the other array's axes to the network's."""
        result = []
        for axis, flip, size in zip(self.axes, self.flips, self.shape, strict=True):
            part = window[axis]
            result.append(slice(size - part.stop, size - part.start) if flip else part)
        return triple(result)


def to_image(trace: CaseTrace) -> Restoration:
    """How a prediction comes onto the grid of the original image."""
    return Restoration(
        shape=trace.crop_shape,
        coarse=coarse_axis(trace.target_mm, trace.spacing_mm),
        axes=trace.axes,
        flips=trace.flips,
        crop=trace.crop,
        full_shape=trace.geometry.shape,
    )


def to_grid(source: CaseTrace, target: CaseTrace) -> Restoration:
    """How a prediction on one configuration's grid comes onto another's, of the same image.

    Args:
        source: How the case was preprocessed for the first configuration.
        target: How it was for the second.
    """
    position = {axis: index for index, axis in enumerate(target.axes)}
    axes = tuple(position[axis] for axis in source.axes)
    shape = tuple(target.shape[axis] for axis in axes)
    spacing = tuple(target.target_mm[axis] for axis in axes)
    return Restoration(
        shape=triple(shape),
        coarse=coarse_axis(source.target_mm, spacing),
        axes=triple(axes),
        flips=triple(
            flip != target.flips[axis] for flip, axis in zip(source.flips, axes, strict=True)
        ),
        crop=triple((0, size) for size in shape),
        full_shape=target.shape,
    )


def with_image_labels(
    case: PreprocessedCase, labels: Labels, configuration: Configuration
) -> tuple[Floats, Labels]:
    """What the second stage of nnU-Net's cascades gets from the first one's label map.

    Background where the image is zero is a label of its own while labels are resampled, and is
    what normalisations with a mask leave out.

    Args:
        case: The image, preprocessed for the second stage.
        labels: [z, y, x] indices on the image's grid.
        configuration: The second stage.

    Returns:
        The image [c, *shape], and the indices [*shape].
    """
    trace = case.trace
    image = case.image
    coarse = coarse_axis(trace.spacing_mm, trace.target_mm)
    turned = _permute(labels[None], trace.axes, trace.flips)[0][slices(trace.crop)]
    marked = turned.astype(np.int16) + 1
    if case.source is not None:
        outside = ~nonzero_mask(case.source) & (turned == 0)
        marked[outside] = 0
        if any(channel.use_mask for channel in configuration.channels):
            image = _normalise_and_resample(
                case.source, configuration, ~outside, trace.shape, coarse
            )
    found = resample_labels(marked, trace.shape, coarse=coarse, nearest_ties=True)
    return image, np.maximum(found - 1, 0).astype(labels.dtype)
