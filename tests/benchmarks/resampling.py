"""Separable resampling against skimage, as nnU-Net calls it: time ratio and largest difference.

python tests/benchmarks/resampling.py
"""

from __future__ import annotations

import time

import numpy as np
from skimage.transform import resize

from autoseg.preprocessing.resample import resample_volume

CASES = [
    ((36, 51, 35), (72, 102, 70), 3),
    ((10, 256, 216), (10, 320, 270), 3),
    ((64, 128, 128), (96, 192, 192), 3),
    ((96, 192, 192), (64, 128, 128), 3),
    ((96, 192, 192), (144, 288, 288), 1),
]


def fastest(function, repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    """Prints the table."""
    rng = np.random.default_rng(0)
    print(f"{'from':>16} {'to':>16} order  skimage s  autoseg s  ratio  difference / range")
    for shape, target, order in CASES:
        volume = rng.normal(size=shape).astype(np.float32)

        def usual(volume=volume, target=target, order=order):
            return resize(
                volume.astype(float),
                target,
                order=order,
                mode="edge",
                anti_aliasing=False,
                clip=True,
            )

        def ours(volume=volume, target=target, order=order):
            return resample_volume(volume, target, order=order)

        difference = np.abs(usual() - ours()).max() / np.ptp(volume)
        slow, fast = fastest(usual, 2), fastest(ours, 5)
        names = ["×".join(map(str, item)) for item in (shape, target)]
        print(
            f"{names[0]:>16} {names[1]:>16} {order:5} {slow:10.3f} {fast:10.4f} "
            f"{slow / fast:6.0f} {difference:10.1e}"
        )


if __name__ == "__main__":
    main()
