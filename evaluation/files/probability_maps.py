"""Probability maps on disk, read slab by slab: memory does not grow with the image."""

from __future__ import annotations

import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError
from evaluation.files.image_files import ENDINGS, read_image
from evaluation.files.label_maps import stem
from evaluation.files.packed import check_plain

ARRAYS = (".npz", ".npy")
KEYS = ("probabilities", "softmax")
SLAB_BYTES = 1 << 26
FAULTS = (OSError, EOFError, RuntimeError, NotImplementedError, ValueError)
"""What zipfile raises besides on damaged archives."""
Array = npt.NDArray[Any]


class _Reader(Protocol):
    shape: tuple[int, ...]

    def read(self, start: int, stop: int) -> Array:
        """[c, stop - start, …] values."""


class ProbabilityMap:
    """Probabilities [c, z, y, x] (or [c, y, x]) of one case; use it in a with block.

    Args:
        paths: One file with all channels (.npz, .npy, or an image with a channel axis), or one
            image per channel.
        slab_bytes: Size of a slab as float32.

    Raises:
        EvaluationError: A file cannot be read or does not hold probabilities.
    """

    def __init__(self, paths: tuple[Path, ...], *, slab_bytes: int = SLAB_BYTES) -> None:
        self.path, self._slab_bytes = paths[0], slab_bytes
        self._folder = tempfile.TemporaryDirectory(prefix="autoseg-evaluate-")
        try:
            self._reader = self._open(paths)
        except BaseException:
            self._folder.cleanup()
            raise

    def _open(self, paths: tuple[Path, ...]) -> _Reader:
        if len(paths) > 1:
            return _Stacked([_image(path) for path in paths], paths)
        path = paths[0]
        if path.suffix == ".npy":
            return _Npy(path, path)
        if path.suffix == ".npz":
            return _Npy(_unpack(path, Path(self._folder.name)), path)
        return _image(path)

    @property
    def shape(self) -> tuple[int, ...]:
        """[c, z, y, x] or [c, y, x]."""
        return self._reader.shape

    def fit(self, shape: tuple[int, ...]) -> None:
        """Checks that the probabilities lie on an image's grid.

        Some programs (nnU-Net) write those of a 2D image as one slice, [c, 1, y, x].

        Args:
            shape: [z, y, x] or [y, x].

        Raises:
            EvaluationError: They do not.
        """
        if self.shape[1:] == (1, *shape):
            self._reader = _Image(self.whole()[:, 0])
        if self.shape[1:] != shape:
            raise EvaluationError(
                f"{self.path}: shape {self.shape[1:]}, the reference has {shape}."
            )

    def slabs(self) -> Iterator[tuple[slice, Array]]:
        """Parts along the first spatial axis: their place, and [c, n, …] values."""
        depth = self.shape[1]
        row = int(np.prod(self.shape)) // max(depth, 1) * 4
        step = max(1, self._slab_bytes // max(row, 1))
        for start in range(0, depth, step):
            stop = min(start + step, depth)
            yield slice(start, stop), self._reader.read(start, stop)

    def whole(self) -> Array:
        """All values at once."""
        return self._reader.read(0, self.shape[1])

    def __enter__(self) -> ProbabilityMap:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


class _Npy:
    """An array file whose parts are read from their places in it."""

    def __init__(self, path: Path, named: Path) -> None:
        self._path = path
        check_plain(path)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, OverflowError, TypeError) as error:
            raise EvaluationError(f"{named}: cannot be read as an array ({error}).") from None
        if array.ndim not in (3, 4):
            raise EvaluationError(
                f"{named}: holds an array of shape {array.shape}; expected [class, z, y, x]."
            )
        if array.dtype.kind != "f":
            raise EvaluationError(f"{named}: holds {array.dtype}; expected floating point numbers.")
        self.shape = tuple(int(size) for size in array.shape)
        self._dtype = array.dtype
        self._ordered = bool(array.flags.c_contiguous)
        self._offset = int(array.offset) if isinstance(array, np.memmap) else 0

    def read(self, start: int, stop: int) -> Array:
        if not self._ordered:
            mapped = np.load(self._path, mmap_mode="r", allow_pickle=False)
            return np.ascontiguousarray(mapped[:, start:stop])
        plane = int(np.prod(self.shape[2:]))
        result = np.empty((self.shape[0], stop - start, *self.shape[2:]), dtype=self._dtype)
        with self._path.open("rb") as stream:
            for channel in range(self.shape[0]):
                place = (channel * self.shape[1] + start) * plane * self._dtype.itemsize
                stream.seek(self._offset + place)
                part = np.fromfile(stream, dtype=self._dtype, count=(stop - start) * plane)
                result[channel] = part.reshape(result.shape[1:])
        return result


class _Image:
    """An image in memory."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape = tuple(int(size) for size in array.shape)

    def read(self, start: int, stop: int) -> Array:
        return self.array[:, start:stop]


class _Stacked:
    """One image per channel."""

    def __init__(self, images: list[_Image], paths: tuple[Path, ...]) -> None:
        for image, path in zip(images, paths, strict=True):
            if image.shape != images[0].shape or image.shape[0] != 1:
                raise EvaluationError(
                    f"{path}: shape {image.shape[1:]}; expected one channel of shape "
                    f"{images[0].shape[1:]} as in {paths[0]}."
                )
        self._images = images
        self.shape = (len(images), *images[0].shape[1:])

    def read(self, start: int, stop: int) -> Array:
        return np.concatenate([image.read(start, stop) for image in self._images])


def _image(path: Path) -> _Image:
    array = read_image(path).channels_first()
    if array.dtype.kind != "f":
        raise EvaluationError(f"{path}: holds {array.dtype}; expected probabilities from 0 to 1.")
    return _Image(array)


def _unpack(path: Path, folder: Path) -> Path:
    """Unpacks the one array of an .npz file, block by block; its checksum stands at its end."""
    check_plain(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            chosen = [name for name in names if name[:-4] in KEYS] or names
            if len(chosen) != 1:
                raise EvaluationError(
                    f"{path}: holds {len(names)} arrays; expected one called 'probabilities'."
                )
            target, size = folder / "array.npy", archive.getinfo(chosen[0]).file_size
            if size > shutil.disk_usage(folder).free:
                raise EvaluationError(
                    f"{path}: unpacks to {size / 1e9:.1f} GB, more than {folder.parent} has left."
                )
            with archive.open(chosen[0]) as source, target.open("wb") as stream:
                while block := source.read(1 << 22):
                    stream.write(block)
            return target
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, *FAULTS) as error:
        raise EvaluationError(f"{path}: truncated or damaged ({error}).") from None


def list_probabilities(folder: Path, classes: tuple[str, ...]) -> dict[str, tuple[Path, ...]]:
    """Case → files: `CASE.npz` (or an image with channels), or `CLASS/CASE.nii.gz` for each class.

    Raises:
        EvaluationError: There is nothing.
    """
    if folder.is_file():
        return {_case(folder) or folder.stem: (folder,)}
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such file or folder.")
    found: dict[str, tuple[Path, ...]] = {}
    if classes and all((folder / name).is_dir() for name in classes):
        parts = [list_probabilities(folder / name, ()) for name in classes]
        for case in sorted(set.intersection(*(set(part) for part in parts))):
            found[case] = tuple(path for part in parts for path in part[case])
    else:
        for path in sorted(folder.iterdir()):
            name = _case(path)
            if name is None or path.name.startswith("."):
                continue
            if name not in found or path.suffix in ARRAYS:
                found[name] = (path,)
    if not found:
        raise EvaluationError(
            f"{folder}: holds no probabilities; expected CASE.npz, CASE.npy or images "
            f"({', '.join(ENDINGS[:4])})."
        )
    return found


def _case(path: Path) -> str | None:
    return path.stem if path.suffix in ARRAYS else stem(path.name)
