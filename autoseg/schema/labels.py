"""Labels of a data set: raw values, regions, the ignore label and the classes trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class LabelClass:
    """One foreground class: a label (one raw value) or a region (several)."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LabelScheme:
    """How raw label values become classes and back.

    Raw values may be any non-negative integers. Inside, a label map holds indices: 0 is the
    background, i > 0 the i-th raw foreground value in ascending order, and the last index the
    ignore label where there is one.

    Attributes:
        classes: Foreground labels or regions, in the order of dataset.json.
        ignore: Raw value of voxels that nobody labelled.
        regions_order: For regions: the raw value that each region paints, in painting order.
    """

    classes: tuple[LabelClass, ...]
    ignore: int | None = None
    regions_order: tuple[int, ...] | None = None

    @property
    def has_regions(self) -> bool:
        """True where classes may overlap, so that the network ends in sigmoids."""
        return self.regions_order is not None

    @property
    def foreground_values(self) -> tuple[int, ...]:
        """All raw foreground values, ascending, without background and ignore."""
        return tuple(sorted({value for item in self.classes for value in item.values} - {0}))

    @property
    def known_values(self) -> tuple[int, ...]:
        """All raw values that a label map may hold."""
        ignore = () if self.ignore is None else (self.ignore,)
        return (0, *self.foreground_values, *ignore)

    @property
    def num_outputs(self) -> int:
        """Channels of the logits: regions, or labels with the background."""
        return len(self.classes) if self.has_regions else len(self.foreground_values) + 1

    @property
    def num_indices(self) -> int:
        """Indices that a label map of ours can hold, without the ignore index."""
        return len(self.foreground_values) + 1

    @property
    def ignore_index(self) -> int | None:
        """Index of the ignore label."""
        return None if self.ignore is None else self.num_indices

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes, in the order of the logits' foreground channels."""
        if self.has_regions:
            return tuple(item.name for item in self.classes)
        by_value = {item.values[0]: item.name for item in self.classes}
        return tuple(by_value[value] for value in self.foreground_values)

    @property
    def class_indices(self) -> tuple[tuple[int, ...], ...]:
        """Label map indices of each foreground class, in the order of `class_names`."""
        position = {value: index + 1 for index, value in enumerate(self.foreground_values)}
        if self.has_regions:
            return tuple(
                tuple(position[value] for value in item.values if value) for item in self.classes
            )
        return tuple((position[value],) for value in self.foreground_values)

    def encode(self, raw: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8 | np.uint16]:
        """Turns raw values into indices. The values must be known.

        Raises:
            ValueError: A value is unknown; it is the argument of the error.
        """
        values = np.asarray(self.known_values)
        order = np.argsort(values)
        dtype = np.uint8 if len(values) <= 255 else np.uint16
        highest = int(values.max())
        if int(raw.min(initial=0)) >= 0 and int(raw.max(initial=0)) <= highest < 2**16:
            table = np.full(highest + 1, len(values), dtype=np.uint16)
            table[values] = np.arange(len(values))
            indices = table[raw]
            if int(indices.max(initial=0)) == len(values):
                raise ValueError(int(raw[indices == len(values)].flat[0]))
            compact: npt.NDArray[np.uint8 | np.uint16] = indices.astype(dtype)
            return compact
        position = np.searchsorted(values[order], raw)
        position = np.clip(position, 0, len(values) - 1)
        if (unknown := values[order][position] != raw).any():
            raise ValueError(int(raw[unknown].flat[0]))
        result: npt.NDArray[np.uint8 | np.uint16] = order[position].astype(dtype)
        return result

    def output_dtype(self) -> type[np.uint8] | type[np.uint16] | type[np.int32]:
        """Smallest integer type that holds the raw values of a prediction."""
        return _smallest_type((0, *self.foreground_values, *(self.regions_order or ())))

    def decode(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Turns indices into raw values, the ignore index too: the inverse of `encode`."""
        table = np.asarray(self.known_values, dtype=_smallest_type(self.known_values))
        result: npt.NDArray[np.integer] = table[indices]
        return result


def _smallest_type(values: tuple[int, ...]) -> type[np.uint8] | type[np.uint16] | type[np.int32]:
    highest = max(values)
    return np.uint8 if highest < 256 else np.uint16 if highest < 65536 else np.int32
