"""Preprocessed cases on disk: blosc2 arrays, a JSON file per case that is written last.

A case is complete when its JSON file is there. The key of a folder is a hash over everything in
the plan that changes the voxels, so that a changed plan makes a new folder and configurations
with the same preprocessing share one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import blosc2
import numpy as np
import numpy.typing as npt

from autoseg.errors import AutosegError, InputError
from autoseg.parallel import map_unordered
from autoseg.preprocessing.case import CaseTrace, Floats, preprocess_case
from autoseg.preprocessing.foreground import Locations, foreground_locations
from autoseg.preprocessing.raters import Labels
from autoseg.schema.dataset import Case
from autoseg.schema.plan import Configuration
from autoseg.schema.serialise import (
    atomic_path,
    from_plain,
    remove_leftovers,
    to_plain,
    write_text,
)

logger = logging.getLogger(__name__)

CODEC = {"codec": blosc2.Codec.LZ4, "clevel": 5, "nthreads": 1}
CHUNK_BYTES = 2**20
"""A patch is read without decompressing much around it."""
SMALL_BYTES = 8 * 2**20
"""Cases up to this size stay in memory once they were read."""
CACHE_BYTES = 2**30
"""Memory that all of them may take."""


def store_key(configuration: Configuration) -> str:
    """Name of the folder for the configuration's preprocessed cases."""
    relevant = (
        configuration.spacing_mm,
        configuration.orientation,
        configuration.transpose,
        configuration.channels,
        configuration.labels,
    )
    digest = hashlib.blake2b(repr(relevant).encode(), digest_size=5).hexdigest()
    spacing = "x".join(
        "case" if step is None else f"{step:.3g}" for step in configuration.spacing_mm
    )
    return f"{spacing}mm-{digest}"


@dataclass(frozen=True, kw_only=True)
class StoredCase:
    """A preprocessed case.

    Attributes:
        image: [c, z, y, x] float32, in memory or on disk; index it to read.
        labels: [z, y, x] indices, likewise.
        shape: (z, y, x).
        locations: Class → voxels.
    """

    image: Floats | blosc2.NDArray
    labels: Labels | blosc2.NDArray
    shape: tuple[int, int, int]
    locations: Locations


class Store:
    """A folder of preprocessed cases.

    Args:
        folder: The folder, see `store_key`.
        cache_bytes: How much memory small cases may take to be kept.
    """

    def __init__(self, folder: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.folder = folder
        self._cache: dict[str, StoredCase] = {}
        self._cache_left = cache_bytes

    def is_complete(self, case: Case) -> bool:
        """Whether a case is there and was made from the files as they are now."""
        try:
            plain = json.loads(self._json(case.identifier).read_text())
        except (OSError, ValueError):
            return False
        return bool(plain.get("source") == source_signature(case))

    def write(self, case: Case, configuration: Configuration) -> None:
        """Preprocesses and stores one case."""
        done = preprocess_case(case, configuration)
        if done.labels is None:
            raise InputError(f"{case.images[0]}: no label; a case for training needs one.")
        seed = int.from_bytes(
            hashlib.blake2b(case.identifier.encode(), digest_size=4).digest(), "big"
        )
        # Not the configuration's seed: what is stored depends on nothing but the folder's key.
        locations = foreground_locations(
            done.labels, configuration.labels, np.random.default_rng([0, seed])
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_array(self._image(case.identifier), done.image)
        write_array(self._labels(case.identifier), done.labels[None])
        with atomic_path(self.folder / f"{case.identifier}.foreground.npz") as temporary:
            names = np.array(list(locations), dtype=np.str_)
            # Members are numbered: class names may hold what file names must not.
            voxels = {f"voxels_{index}": item for index, item in enumerate(locations.values())}
            with temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, names=names, **voxels)
        plain = {"source": source_signature(case), "trace": to_plain(done.trace)}
        write_text(self._json(case.identifier), json.dumps(plain))

    def read(self, identifier: str) -> StoredCase:
        """Opens a case; small ones are kept in memory.

        Raises:
            InputError: The case was not preprocessed.
        """
        if identifier in self._cache:
            return self._cache[identifier]
        try:
            image = blosc2.open(str(self._image(identifier)), mode="r")
            labels = blosc2.open(str(self._labels(identifier)), mode="r")
            locations = _read_locations(self.folder / f"{identifier}.foreground.npz")
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.folder / identifier}: not preprocessed ({error}). Run autoseg_plan again."
            ) from None
        size = image.nbytes + labels.nbytes
        if size <= min(SMALL_BYTES, self._cache_left):
            case = StoredCase(
                image=image[:], labels=labels[:][0], shape=image.shape[1:], locations=locations
            )
            self._cache_left -= size
            self._cache[identifier] = case
            return case
        return StoredCase(
            image=image,
            labels=_Squeezed(labels),
            shape=image.shape[1:],
            locations=locations,
        )

    def classes(self, identifier: str) -> tuple[str, ...]:
        """Classes that a case has, without reading where they are."""
        if identifier in self._cache:
            return tuple(self._cache[identifier].locations)
        with np.load(self.folder / f"{identifier}.foreground.npz", allow_pickle=False) as archive:
            return tuple(map(str, archive["names"]))

    def trace(self, identifier: str) -> CaseTrace:
        """How a case was made."""
        path = self._json(identifier)
        try:
            plain = json.loads(path.read_text())["trace"]
        except (OSError, ValueError, KeyError):
            raise InputError(f"{path}: not preprocessed. Run autoseg_plan again.") from None
        return from_plain(CaseTrace, plain, str(path))

    def _json(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.json"

    def _image(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.image.b2nd"

    def _labels(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.labels.b2nd"


class _Squeezed:
    """A label array [1, z, y, x] on disk that is indexed like [z, y, x]."""

    def __init__(self, array: blosc2.NDArray) -> None:
        self._array = array
        self.shape = array.shape[1:]

    def __getitem__(self, index: tuple[slice, ...]) -> Labels:
        result: Labels = self._array[(slice(0, 1), *index)][0]
        return result


def source_signature(case: Case) -> list[list[str | int]]:
    """Names, sizes and times of the files of a case."""
    files = (*case.images, *case.annotations)
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Preprocesses a case for several configurations; picklable."""

    targets: tuple[tuple[Path, Configuration], ...]

    def __call__(self, case: Case) -> str | None:
        try:
            for folder, configuration in self.targets:
                store = Store(folder)
                if not store.is_complete(case):
                    store.write(case, configuration)
        except AutosegError as error:
            return str(error)
        return None


def preprocess_cases(
    cases: Sequence[Case],
    targets: dict[Path, Configuration],
    *,
    workers: int,
) -> int:
    """Preprocesses all cases that are not done yet.

    Args:
        cases: The cases.
        targets: Folder → a configuration with that preprocessing.
        workers: Processes.

    Returns:
        How many cases were done now.

    Raises:
        InputError: Cases failed; all of them are named, the others are done.
    """
    missing = [
        case for case in cases if any(not Store(folder).is_complete(case) for folder in targets)
    ]
    if len(missing) < len(cases):
        logger.info(
            "%d of %d cases are preprocessed already.", len(cases) - len(missing), len(cases)
        )
    for folder in targets:
        remove_leftovers(folder)
    job = _Job(targets=tuple(targets.items()))
    failures = [
        message
        for _, message in map_unordered(job, missing, workers=workers, description="Preprocessing")
        if message is not None
    ]
    if failures:
        raise InputError("\n".join(sorted(failures)))
    return len(missing)


def write_array(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Writes [c, z, y, x] in chunks of about 1 MiB."""
    chunks = [1, *array.shape[1:]]
    # Thin slabs along the first axes: patches are compact, so cut the longest axis first.
    while np.prod(chunks) * array.dtype.itemsize > CHUNK_BYTES:
        longest = int(np.argmax(chunks))
        chunks[longest] = -(-chunks[longest] // 2)
    with atomic_path(path) as temporary:
        temporary.unlink()
        blosc2.asarray(
            np.ascontiguousarray(array),
            urlpath=str(temporary),
            mode="w",
            chunks=tuple(chunks),
            cparams=CODEC,
        )


def _read_locations(path: Path) -> Locations:
    with np.load(path, allow_pickle=False) as archive:
        return {
            str(name): archive[f"voxels_{index}"] for index, name in enumerate(archive["names"])
        }
