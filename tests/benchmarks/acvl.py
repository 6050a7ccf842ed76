"""Where acvl-utils does what a part of autoseg does: both, timed in turn on the same input.

python -m tests.benchmarks.acvl

Ratios above 1 say how much longer acvl-utils takes. The results are compared as well. autoseg takes
acvl-utils where that is at most 1.5 times as long whatever the input: for the components of a mask
(`augmentation/previous_stage.py`) and for padding (`inference/streaming/tile_stream.py`). Elsewhere
the code of its own stays: many labels at once, boxes, and patches from memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import blosc2
import cc3d
import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import (
    bounding_box_to_slice,
    crop_and_pad_nd,
    get_bbox_from_mask,
    pad_bbox,
)
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from acvl_utils.morphology.morphology_helper import cc3d_label_with_component_sizes
from scipy import ndimage

from autoseg.datasets.examination import _component_sizes
from autoseg.preprocessing.crop import nonzero_box
from autoseg.preprocessing.store import write_array
from autoseg.training.patches import read_box

REPEATS = 7
LIMIT_S = 4.0


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One thing that both do.

    Attributes:
        what: For the table.
        own: Ours.
        other: acvl-utils'.
    """

    what: str
    own: Callable[[], object]
    other: Callable[[], object]


def blobs(shape: tuple[int, ...], sigma: float, share: float) -> np.ndarray:
    """A mask of smooth blobs that fill a share of the voxels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), sigma)
    return noise > np.quantile(noise, 1 - share)


def component_pairs() -> Iterator[Pair]:
    """Connected components."""
    for name, mask in (
        ("blobs", blobs((64, 96, 96), 4, 0.1)),
        ("specks", blobs((64, 96, 96), 0.5, 0.05)),
    ):

        def own(mask: np.ndarray = mask) -> tuple[np.ndarray, list[int]]:
            components, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
            sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
            return components, sizes.tolist()

        def other(mask: np.ndarray = mask) -> tuple[np.ndarray, list[int]]:
            components, sizes = cc3d_label_with_component_sizes(mask, connectivity=26)
            return components, list(sizes.values())

        yield Pair(what=f"components of a mask of {name}, 64×96×96", own=own, other=other)
    for num_labels in (2, 50):
        coarse = np.random.default_rng(1).integers(0, num_labels + 1, (8, 16, 16))
        labels = coarse.repeat(16, 0).repeat(16, 1).repeat(16, 2).astype(np.uint8)

        def per_label(labels: np.ndarray = labels, count: int = num_labels) -> list[list[int]]:
            return [
                list(cc3d_label_with_component_sizes(labels == index, connectivity=26)[1].values())
                for index in range(1, count + 1)
            ]

        def all_at_once(labels: np.ndarray = labels, count: int = num_labels) -> list[list[int]]:
            return [sizes.tolist() for sizes in _component_sizes(labels, count + 1)[1:]]

        yield Pair(
            what=f"component sizes of {num_labels} labels, 128×256×256",
            own=all_at_once,
            other=per_label,
        )


def box_pairs() -> Iterator[Pair]:
    """Bounding boxes."""
    shape = (128, 256, 256)
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    for name, margin in (("no border", 0), ("a border of zeros", 40)):
        inside = tuple(slice(margin // 2, size - margin) for size in shape)
        cropped = np.zeros_like(image)
        cropped[(slice(None), *inside)] = image[(slice(None), *inside)]
        yield Pair(
            what=f"box of what is not zero, {name}, 128×256×256",
            own=lambda image=cropped: [list(part) for part in nonzero_box(image)],
            other=lambda image=cropped: get_bbox_from_mask((image != 0).any(axis=0)),
        )
    for name, size in (("a small organ", 20), ("a large organ", 100)):
        mask = np.zeros(shape, bool)
        mask[60 : 60 + size // 2, 100 : 100 + size, 120 : 120 + size] = True

        def own(mask: np.ndarray = mask) -> list[slice]:
            box = []
            for axis, length in enumerate(mask.shape):
                others = tuple(other for other in range(3) if other != axis)
                found = np.flatnonzero(mask.any(axis=others))
                box.append(slice(max(0, int(found[0]) - 10), min(length, int(found[-1]) + 11)))
            return box

        def other(mask: np.ndarray = mask) -> list[slice]:
            return list(bounding_box_to_slice(pad_bbox(get_bbox_from_mask(mask), 10, mask.shape)))

        yield Pair(what=f"region of interest: {name} in 128×256×256", own=own, other=other)


def padding_pairs(folder: Path) -> Iterator[Pair]:
    """Crops that leave the array, and padding."""
    image = np.random.default_rng(0).normal(size=(1, 128, 160, 160)).astype(np.float32)
    write_array(folder / "image.b2nd", image)
    on_disk = blosc2.open(str(folder / "image.b2nd"), mode="r")
    size = (64, 96, 96)
    for name, centre in (("inside", (64, 80, 80)), ("at the border", (10, 20, 150))):
        box = [[at - n // 2, at - n // 2 + n] for at, n in zip(centre, size, strict=True)]
        for where, array in (("memory", image), ("disk", on_disk)):
            yield Pair(
                what=f"patch 64×96×96 {name}, from {where}",
                own=lambda array=array, at=centre: read_box(array, at, size, channels=True),
                other=lambda array=array, box=box: crop_and_pad_nd(array, box, 0),
            )
    tensor = torch.from_numpy(image)
    yield Pair(
        what="image 128×160×160 padded to 160×192×192 (tensor)",
        own=lambda: torch.nn.functional.pad(tensor, [16] * 6),
        other=lambda: pad_nd_image(tensor, (160, 192, 192)),
    )


def same(first: object, second: object) -> bool:
    """Whether two results are equal, arrays and tensors included."""
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        pairs = zip(first, second, strict=True)
        return len(first) == len(second) and all(same(one, two) for one, two in pairs)
    if isinstance(first, (np.ndarray, torch.Tensor)):
        return bool((np.asarray(first) == np.asarray(second)).all())
    return first == second


def measure(pair: Pair) -> tuple[float, float]:
    """Fastest time of each, taken in turn."""
    best = [float("inf"), float("inf")]
    begun = time.perf_counter()
    for _ in range(REPEATS):
        for index, function in enumerate((pair.own, pair.other)):
            before = time.perf_counter()
            function()
            best[index] = min(best[index], time.perf_counter() - before)
        if time.perf_counter() - begun > LIMIT_S:
            break
    return best[0], best[1]


def main() -> None:
    """Prints the table."""
    print("| what | autoseg ms | acvl-utils ms | ratio |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for pair in (*component_pairs(), *box_pairs(), *padding_pairs(Path(folder))):
            assert same(pair.own(), pair.other()), pair.what
            own, other = measure(pair)
            print(f"| {pair.what} | {own * 1e3:.2f} | {other * 1e3:.2f} | {other / own:.2f} |")


if __name__ == "__main__":
    main()
