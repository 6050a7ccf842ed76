"""Our augmentation (torch) against batchgenerators with the same transforms and probabilities.

pip install batchgenerators && python tests/benchmarks/augmentation.py
"""

from __future__ import annotations

import time

import numpy as np
import torch
from batchgenerators.transforms.abstract_transforms import Compose
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
from batchgenerators.transforms.spatial_transforms import SpatialTransform

from autoseg.augmentation.intensity import draw_intensity
from autoseg.augmentation.spatial import draw_matrix, resample, source_size

ANGLE = (-np.pi / 6, np.pi / 6)


def usual_pipeline(patch: tuple[int, ...]) -> Compose:
    """nnU-Net's augmentation as batchgenerators has it."""
    return Compose(
        [
            SpatialTransform(
                patch,
                patch_center_dist_from_border=None,
                do_elastic_deform=False,
                do_rotation=True,
                angle_x=ANGLE,
                angle_y=ANGLE,
                angle_z=ANGLE,
                p_rot_per_sample=0.2,
                do_scale=True,
                scale=(0.7, 1.4),
                p_scale_per_sample=0.2,
                border_mode_data="constant",
                border_mode_seg="constant",
                order_data=3,
                order_seg=1,
                random_crop=False,
            ),
            GaussianNoiseTransform(p_per_sample=0.1),
            GaussianBlurTransform((0.5, 1.0), p_per_sample=0.2, p_per_channel=0.5),
            BrightnessMultiplicativeTransform((0.75, 1.25), p_per_sample=0.15),
            ContrastAugmentationTransform(p_per_sample=0.15),
            SimulateLowResolutionTransform(
                (0.5, 1), p_per_channel=0.5, order_downsample=0, order_upsample=3, p_per_sample=0.25
            ),
            GammaTransform((0.7, 1.5), True, True, retain_stats=True, p_per_sample=0.1),
            GammaTransform((0.7, 1.5), False, True, retain_stats=True, p_per_sample=0.3),
        ]
    )


def ours(seed: int, source: np.ndarray, labels: np.ndarray, patch: tuple[int, ...]) -> None:
    """One sample with our augmentation, cropping included."""
    rng = np.random.default_rng(seed)
    matrix = draw_matrix(rng, patch)
    size = source_size(matrix, patch)
    start = [max((have - need) // 2, 0) for have, need in zip(source.shape[1:], size, strict=True)]
    box = tuple(slice(low, low + need) for low, need in zip(start, size, strict=True))
    image = torch.from_numpy(source[(slice(None), *box)])
    target = torch.from_numpy(labels[box])
    if matrix is None:
        image = image.clone()
    else:
        image = resample(image, matrix, patch, labels=False)
        resample(target[None].float(), matrix, patch, labels=True)
    for channel, operation in draw_intensity(rng, image.shape[0], 3):
        image[channel] = operation(image[channel])


def main() -> None:
    """Prints the table."""
    print(f"{'patch':>14} {'batchgenerators s':>18} {'autoseg s':>10} {'ratio':>6}   (per sample)")
    for patch, samples in (((40, 56, 40), 60), ((64, 96, 96), 30)):
        large = tuple(int(size * 1.6) for size in patch)
        rng = np.random.default_rng(0)
        source = rng.normal(size=(1, *large)).astype(np.float32)
        labels = rng.integers(0, 3, large).astype(np.int16)
        pipeline = usual_pipeline(patch)
        np.random.seed(0)
        begun = time.perf_counter()
        for _ in range(samples):
            pipeline(data=source[None].copy(), seg=labels[None, None].copy())
        usual = (time.perf_counter() - begun) / samples
        begun = time.perf_counter()
        for seed in range(samples):
            ours(seed, source, labels, patch)
        own = (time.perf_counter() - begun) / samples
        name = "×".join(map(str, patch))
        print(f"{name:>14} {usual:18.4f} {own:10.4f} {usual / own:6.1f}")


if __name__ == "__main__":
    main()
