"""Preprocessed cases on disk: blosc2 arrays, a JSON file per case that is written last.

A case is complete when its JSON file is there. The key of a folder is a hash over the format and
over everything in the plan that changes the voxels, so that a changed plan makes a new folder and
configurations with the same preprocessing share one. Folders of an older format are never read;
they may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import blosc2
import numpy as np
import numpy.typing as npt

from autoseg.errors import AutosegError, InputError
from autoseg.parallel import map_unordered
from autoseg.preprocessing.case import CaseTrace, Floats, preprocess_case
from autoseg.preprocessing.foreground import (
    Locations,
    Voxels,
    annotated_voxels,
    foreground_locations,
)
from autoseg.preprocessing.raters import Labels, majority
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

FORMAT = 2
"""Counts the changes of what is in the files: part of the key. 1 had the raters' majority only."""
CODEC = {"codec": blosc2.Codec.LZ4, "clevel": 5, "nthreads": 1}
CHUNK_BYTES = 2**20
"""A patch is read without decompressing much around it."""
SMALL_BYTES = 8 * 2**20
"""Cases up to this size stay in memory once they were read."""
CACHE_BYTES = 2**30
"""Memory that all of them may take."""
ONE_MAP = ("",)
"""Raters of a case that has one label map, by nobody in particular."""


def store_key(configuration: Configuration) -> str:
    """Name of the folder for the configuration's preprocessed cases."""
    relevant = (
        FORMAT,
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
        labels: [r, z, y, x] indices, one map per rater, likewise; None where nobody labelled it.
        shape: (z, y, x).
        locations: Class → voxels that most raters gave to it, see `majority`.
        annotated: With an ignore label: voxels that somebody labelled.
        raters: Names in the order of the maps; which raters there are differs between cases.
    """

    image: Floats | blosc2.NDArray
    labels: Labels | blosc2.NDArray | None
    shape: tuple[int, int, int]
    locations: Locations
    annotated: Voxels | None = None
    raters: tuple[str, ...] = ONE_MAP


class Store:
    """A folder of preprocessed cases.

    Args:
        folder: The folder, see `store_key`.
        cache_bytes: How much memory small cases may take to be kept.
    """

    def __init__(self, folder: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.folder = folder
        self.cache_bytes = cache_bytes
        self._cache: dict[str, StoredCase] = {}
        self._cache_left = cache_bytes
        self._raters: dict[str, tuple[str, ...]] = {}

    def with_own_cache(self, share: int) -> Store:
        """The same folder with an empty cache of a `share`-th of the size, for another process."""
        return Store(self.folder, cache_bytes=self.cache_bytes // share)

    def is_complete(self, case: Case) -> bool:
        """Whether a case is there and was made from the files as they are now."""
        try:
            plain = json.loads(self._json(case.identifier).read_text())
        except (OSError, ValueError):
            return False
        return bool(plain.get("source") == source_signature(case))

    def write(self, case: Case, configuration: Configuration) -> None:
        """Preprocesses and stores one case, labelled or not."""
        done = preprocess_case(case, configuration)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_array(self._image(case.identifier), done.image)
        if done.labels is not None:
            write_array(self._labels(case.identifier), done.labels)
        locations, annotated = _locations(case, done.labels, configuration)
        with atomic_path(self._foreground(case.identifier), durable=False) as temporary:
            names = np.array(list(locations), dtype=np.str_)
            # Members are numbered: class names may hold what file names must not.
            arrays = {f"voxels_{index}": item for index, item in enumerate(locations.values())}
            if annotated is not None:
                arrays["annotated"] = annotated
            raters = (*(ONE_MAP if case.label else ()), *case.raters)
            if raters != ONE_MAP:
                arrays["raters"] = np.array(raters, dtype=np.str_)
            with temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, names=names, **arrays)
        plain = {"source": source_signature(case), "trace": to_plain(done.trace)}
        write_text(self._json(case.identifier), json.dumps(plain))

    def link(self, case: Case, other: Store) -> None:
        """Takes a case from a store that has the same voxels of it."""
        name = case.identifier
        foreground = other.folder / f"{name}.foreground.npz"
        for path in (other._image(name), other._labels(name), foreground, other._json(name)):
            if not path.exists():
                continue
            with atomic_path(self.folder / path.name) as temporary:
                temporary.unlink()
                try:
                    os.link(path, temporary)
                except OSError:  # the file system has no links
                    shutil.copyfile(path, temporary)

    def read(self, identifier: str) -> StoredCase:
        """Opens a case; small ones are kept in memory.

        Raises:
            InputError: The case was not preprocessed.
        """
        if identifier in self._cache:
            return self._cache[identifier]
        try:
            locations, annotated, raters = _read_locations(self._foreground(identifier))
            image = blosc2.open(str(self._image(identifier)), mode="r")
            labels = None
            if raters:
                labels = blosc2.open(str(self._labels(identifier)), mode="r")
        except (OSError, RuntimeError, ValueError) as error:
            raise self._missing(identifier, error) from None
        size = image.nbytes + (0 if labels is None else labels.nbytes)
        is_small = size <= min(SMALL_BYTES, self._cache_left)
        if is_small:
            image, labels = image[:], None if labels is None else labels[:]
        case = StoredCase(
            image=image,
            labels=labels,
            shape=image.shape[1:],
            locations=locations,
            annotated=annotated,
            raters=raters,
        )
        if is_small:
            self._cache_left -= size
            self._cache[identifier] = case
        return case

    def classes(self, identifier: str) -> tuple[str, ...]:
        """Classes that a case has, without reading where they are."""
        if identifier in self._cache:
            return tuple(self._cache[identifier].locations)
        try:
            with np.load(self._foreground(identifier), allow_pickle=False) as archive:
                return tuple(map(str, archive["names"]))
        except (OSError, ValueError) as error:
            raise self._missing(identifier, error) from None

    def raters(self, identifier: str) -> tuple[str, ...]:
        """Who labelled a case, without reading its voxels; nobody where it is empty."""
        if identifier not in self._raters:
            try:
                with np.load(self._foreground(identifier), allow_pickle=False) as archive:
                    self._raters[identifier] = _read_raters(archive)
            except (OSError, ValueError) as error:
                raise self._missing(identifier, error) from None
        return self._raters[identifier]

    def trace(self, identifier: str) -> CaseTrace:
        """How a case was made."""
        path = self._json(identifier)
        try:
            plain = json.loads(path.read_text())["trace"]
        except (OSError, ValueError, KeyError):
            raise InputError(f"{path}: not preprocessed. Run autoseg_plan again.") from None
        return from_plain(CaseTrace, plain, str(path))

    def _missing(self, identifier: str, error: Exception) -> InputError:
        return InputError(
            f"{self.folder / identifier}: not preprocessed ({error}). Run autoseg_plan again."
        )

    def _json(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.json"

    def _image(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.image.b2nd"

    def _labels(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.labels.b2nd"

    def _foreground(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.foreground.npz"


def source_signature(case: Case) -> list[list[str | int]]:
    """Names, sizes and times of the files of a case."""
    files = (*case.images, *case.annotations)
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Preprocesses a case for several configurations; picklable."""

    targets: tuple[tuple[Path, Configuration], ...]

    def __call__(self, case: Case) -> str | None:
        done: list[tuple[Store, Configuration]] = []
        try:
            for folder, configuration in self.targets:
                store = Store(folder)
                if not store.is_complete(case):
                    twin = _find_twin(case, configuration, done)
                    if twin is None:
                        store.write(case, configuration)
                    else:
                        store.link(case, twin)
                done.append((store, configuration))
        except AutosegError as error:
            return str(error)
        return None


def _find_twin(
    case: Case, configuration: Configuration, done: Sequence[tuple[Store, Configuration]]
) -> Store | None:
    """A store that has the same voxels of a case.

    A configuration that keeps the case's own spacing along an axis and one that has the same
    spacing in its plan differ in the cases that they will see, not in this one.
    """
    for store, other in done:
        if store_key(replace(other, spacing_mm=())) != store_key(
            replace(configuration, spacing_mm=())
        ):
            continue
        trace = store.trace(case.identifier)
        wanted = [
            have if want is None else want
            for have, want in zip(trace.spacing_mm, configuration.spacing_mm, strict=True)
        ]
        if np.allclose(wanted, trace.target_mm, rtol=1e-6, atol=0):
            return store
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
    with atomic_path(path, durable=False) as temporary:
        temporary.unlink()
        blosc2.asarray(
            np.ascontiguousarray(array),
            urlpath=str(temporary),
            mode="w",
            chunks=tuple(chunks),
            cparams=CODEC,
        )


def _locations(
    case: Case, labels: Labels | None, configuration: Configuration
) -> tuple[Locations, Voxels | None]:
    """Voxels of each class, and those that are labelled at all."""
    if labels is None:
        return {}, None
    seed = int.from_bytes(hashlib.blake2b(case.identifier.encode(), digest_size=4).digest(), "big")
    # Not the configuration's seed: what is stored depends on nothing but the folder's key.
    rng = np.random.default_rng([0, seed])
    joined = majority(labels, configuration.labels)
    locations = foreground_locations(joined, configuration.labels, rng)
    return locations, annotated_voxels(joined, configuration.labels, rng)


def _read_locations(path: Path) -> tuple[Locations, Voxels | None, tuple[str, ...]]:
    """Voxels of each class, those that are labelled at all, and the names of the raters."""
    with np.load(path, allow_pickle=False) as archive:
        locations = {
            str(name): archive[f"voxels_{index}"] for index, name in enumerate(archive["names"])
        }
        annotated = archive["annotated"] if "annotated" in archive.files else None
        return locations, annotated, _read_raters(archive)


def _read_raters(archive: np.lib.npyio.NpzFile) -> tuple[str, ...]:
    """Names of the raters; a case with one label map, the usual kind, does not list any."""
    return tuple(map(str, archive["raters"])) if "raters" in archive.files else ONE_MAP
