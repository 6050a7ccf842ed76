"""nnU-Net's training augmentation, built from batchgenerators' transforms.

List, order, ranges and probabilities are those of nnU-Net 2.8, which interpolates linearly and
blurs every axis by a sigma of its own. batchgenerators draws scales below and above 1 equally
often; nnU-Net 2.8 draws them uniformly from the same range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoseg.augmentation.rotation import angle_limit, is_flat
from autoseg.augmentation.transforms import (
    FoldSlices,
    MaskOutside,
    Transform,
    TransformChain,
    UnfoldSlices,
)
from autoseg.schema.plan import Configuration

SCALE = (0.7, 1.4)
"""Part of the image that a patch shows, relative to its size; large numbers shrink objects."""
SMALLEST_SCALE = 0.85
"""What nnU-Net divides the size of the patch that is read by."""
PREVIOUS_CLASS_PROBABILITY = 0.5


def nnunet_chain(configuration: Configuration) -> TransformChain:
    """nnU-Net's transforms for a configuration."""
    from batchgenerators.transforms.spatial_transforms import MirrorTransform
    from batchgenerators.transforms.utility_transforms import RemoveLabelTransform

    stage = configuration.previous
    transforms = _spatial(configuration)
    masked: tuple[int, ...] = ()
    if stage is None or stage.kind != "probabilities":  # they replace the image
        transforms += _intensity(configuration)
        if configuration.num_slices == 1:
            channels = enumerate(configuration.channels)
            masked = tuple(index for index, channel in channels if channel.use_mask)
    if configuration.training.mirror_axes:
        transforms.append(MirrorTransform(axes=configuration.training.mirror_axes))
    if masked:
        transforms.append(MaskOutside(channels=masked))
    transforms.append(RemoveLabelTransform(-1, 0))
    return TransformChain(
        source_size=source_size(configuration.patch_size),
        transforms=tuple(transforms),
        masked_channels=masked,
        previous_class_probability=PREVIOUS_CLASS_PROBABILITY,
    )


def source_size(patch_size: Sequence[int]) -> tuple[int, ...]:
    """Voxels per axis that nnU-Net reads, so that a patch that is turned is mostly covered.

    It turns the far corner of the patch about one axis after the other, by the largest angle but
    at most 90°, and takes the largest extent along each axis.
    """
    from batchgenerators.augmentations.utils import rotate_coords_2d, rotate_coords_3d

    limit = min(angle_limit(patch_size), np.pi / 2)
    corner = np.asarray(patch_size, dtype=float)
    if len(patch_size) == 2:
        turned = [rotate_coords_2d(corner, limit)]
    else:
        turned = [rotate_coords_3d(corner, *angles) for angles in limit * np.eye(3)]
    largest = np.abs([corner, *turned]).max(axis=0)
    size = (largest / SMALLEST_SCALE).astype(int).tolist()
    if is_flat(patch_size):
        size[0] = patch_size[0]
    return tuple(size)


def _spatial(configuration: Configuration) -> list[Transform]:
    """Rotation and scaling; of anisotropic patches within their slices only."""
    from batchgenerators.transforms.spatial_transforms import SpatialTransform

    patch_size = configuration.patch_size
    limit = angle_limit(patch_size)
    angle = (-limit, limit)
    flat = is_flat(patch_size)
    transform = SpatialTransform(
        patch_size[1:] if flat else patch_size,
        patch_center_dist_from_border=None,
        do_elastic_deform=False,
        do_rotation=True,
        angle_x=angle,
        angle_y=angle,
        angle_z=angle,
        p_rot_per_sample=0.2,
        do_scale=True,
        scale=SCALE,
        p_scale_per_sample=0.2,
        border_mode_data="constant",
        border_cval_data=0,
        order_data=1,
        border_mode_seg="constant",
        border_cval_seg=-1,
        order_seg=1,  # of each label's indicator: the largest wins, labels are never mixed
        random_crop=False,
        p_el_per_sample=0,
    )
    if not flat:
        return [transform]
    keys = ("data", "seg")
    return [
        FoldSlices(keys=keys),
        transform,
        UnfoldSlices(keys=keys, num_slices=patch_size[0]),
    ]


def _intensity(configuration: Configuration) -> list[Transform]:
    """Noise, blur, brightness, contrast, low resolution and gamma.

    The slices that a 2.5-dimensional network sees are a flat volume here.
    """
    from batchgenerators.transforms.color_transforms import (
        BrightnessMultiplicativeTransform,
        ContrastAugmentationTransform,
        GammaTransform,
    )
    from batchgenerators.transforms.noise_transforms import (
        GaussianBlurTransform,
        GaussianNoiseTransform,
    )
    from batchgenerators.transforms.resample_transforms import SimulateLowResolutionTransform

    num_slices = configuration.num_slices
    flat = is_flat(configuration.patch_size) or num_slices > 1
    transforms: list[Transform] = [
        GaussianNoiseTransform(noise_variance=(0, 0.1), p_per_sample=0.1),
        GaussianBlurTransform(
            (0.5, 1.0),
            different_sigma_per_channel=True,
            different_sigma_per_axis=True,
            p_per_channel=0.5,
            p_per_sample=0.2,
        ),
        BrightnessMultiplicativeTransform((0.75, 1.25), per_channel=True, p_per_sample=0.15),
        ContrastAugmentationTransform(
            (0.75, 1.25), preserve_range=True, per_channel=True, p_per_sample=0.15
        ),
        SimulateLowResolutionTransform(
            (0.5, 1),
            per_channel=True,
            p_per_channel=0.5,
            order_downsample=0,
            order_upsample=1,
            p_per_sample=0.25,
            ignore_axes=(0,) if flat else None,
        ),
        *(
            GammaTransform(
                (0.7, 1.5),
                invert_image=inverted,
                per_channel=True,
                retain_stats=True,
                p_per_sample=probability,
            )
            for inverted, probability in ((True, 0.1), (False, 0.3))
        ),
    ]
    if num_slices == 1:
        return transforms
    unfold = UnfoldSlices(keys=("data",), num_slices=num_slices)
    return [unfold, *transforms, FoldSlices(keys=("data",))]
