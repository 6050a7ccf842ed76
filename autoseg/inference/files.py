"""Predicts files: while one case is computed, the next are read and the last is written."""

from __future__ import annotations

import logging
import mmap
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from autoseg.datasets.file_names import image_ending, is_utf8, shown, strip_ending
from autoseg.errors import AutosegError, ImageError, UsageError
from autoseg.images.files import read_case, write_labels
from autoseg.inference.predictor import Inputs, Prediction, Predictor
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path, remove_leftovers

logger = logging.getLogger(__name__)

FAULTS = (AutosegError, RuntimeError, MemoryError, OSError)
CHUNK_BYTES = 1 << 24


@dataclass(kw_only=True)
class Report:
    """What became of the cases of a `predict_files` call.

    Attributes:
        written: Case → file.
        skipped: Cases that were there already.
        failed: Case → reason.
    """

    written: dict[str, Path] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A case that was read and preprocessed: its inputs, its geometry, and the box of interest."""

    inputs: Inputs
    geometry: Geometry
    box: tuple[slice, slice, slice] | None


def find_targets(
    source: Path,
    cases: Mapping[str, tuple[Path, ...]],
    output: Path,
    *,
    keep: bool,
    overwrite: bool,
) -> dict[str, Path]:
    """Which file each case's label map is written to; folders are made.

    Args:
        source: Folder of images, or one image.
        cases: Case → image files.
        output: Folder, or a file where the source is one.
        keep: Files that are there may stay.
        overwrite: They may be replaced.

    Raises:
        UsageError: Images or earlier label maps would be replaced.
    """
    if not is_utf8(str(output)):
        raise UsageError(f"{shown(str(output))}: the name is not UTF-8. Choose another -o.")
    if image_ending(output.name) and source.is_file():
        targets = dict.fromkeys(cases, output)
    elif output.is_file():
        raise UsageError(f"{output}: is a file; -o must be a folder for several images.")
    else:
        targets = {
            case: output / f"{case}{image_ending(files[0].name)}" for case, files in cases.items()
        }
    inputs = {path.resolve() for files in cases.values() for path in files}
    if any(path.resolve() in inputs for path in targets.values()):
        raise UsageError(f"{output}: the predictions would replace the images. Choose another -o.")
    there = [path for path in targets.values() if path.exists()]
    if there and not (keep or overwrite):
        raise UsageError(
            f"{there[0]}: is there already ({len(there)} in all). "
            "Use --resume to keep them, --overwrite to replace them, or another -o."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    return targets


def predict_files(
    predictor: Predictor,
    cases: Mapping[str, tuple[Path, ...]],
    targets: Mapping[str, Path],
    *,
    probabilities: bool = False,
    resume: bool = False,
    workers: int = 1,
) -> Report:
    """Predicts files; reading and writing overlap with the network's work.

    Args:
        predictor: Models.
        cases: Case → image files.
        targets: Case → label map to write.
        probabilities: Also write the probabilities beside it, as .npz.
        resume: Skip cases whose label map, and probabilities where they are wanted, are there.
        workers: Threads that read ahead; none where the memory is limited.

    Returns:
        What became of the cases; a failing case does not stop the others.
    """
    report = Report()
    for folder in {path.parent for path in targets.values()}:
        remove_leftovers(folder)
    todo = {}
    for name, files in cases.items():
        if resume and _is_done(targets[name], probabilities=probabilities):
            report.skipped.append(name)
        else:
            todo[name] = files
    with (
        ThreadPoolExecutor(1) as writer,
        tqdm(total=len(todo), desc="Predicting", unit="case", disable=None) as bar,
    ):
        writing: tuple[str, Future[None]] | None = None
        for name, loaded in _read_ahead(predictor, todo, workers):
            try:
                read = loaded.result()
                target = targets[name]
                with ExitStack() as stack:
                    values = None
                    if probabilities:
                        shape = (predictor.labels.num_outputs, *read.geometry.shape)
                        scratch = _Scratch(target, shape)
                        stack.callback(scratch.remove)
                        values = scratch
                    found = predictor.predict_inputs(read.inputs, read.geometry, read.box, values)
                    stack.pop_all()  # the writer removes it
                del read
                _finish(report, targets, writing)  # one at a time: results do not pile up
                writing = (name, writer.submit(_write, target, found, values))
                del found
            except FAULTS as error:
                report.failed[name] = str(error) or type(error).__name__
            bar.update()
        _finish(report, targets, writing)
    for name, reason in report.failed.items():
        logger.error("Case '%s' failed: %s", shown(name), reason)
    return report


def _is_done(target: Path, *, probabilities: bool) -> bool:
    return target.exists() and (not probabilities or probabilities_path(target).exists())


def _finish(
    report: Report, targets: Mapping[str, Path], writing: tuple[str, Future[None]] | None
) -> None:
    """Waits until a case is written."""
    if writing is None:
        return
    name, future = writing
    try:
        future.result()
        report.written[name] = targets[name]
    except FAULTS as error:
        report.failed[name] = str(error) or type(error).__name__


def _read_ahead(
    predictor: Predictor, cases: Mapping[str, tuple[Path, ...]], workers: int
) -> Iterator[tuple[str, Future[_Read]]]:
    """Reads some cases ahead of their turn; where the memory is limited, each at its turn."""
    ahead = 0 if predictor.options.memory_bytes is not None else max(1, workers)
    with ThreadPoolExecutor(max(1, ahead)) as readers:
        waiting: list[tuple[str, Future[_Read]]] = []
        for name, files in cases.items():
            waiting.append((name, readers.submit(_load, predictor, files)))
            if len(waiting) > ahead:
                yield waiting.pop(0)
        while waiting:
            yield waiting.pop(0)


def _load(predictor: Predictor, files: tuple[Path, ...]) -> _Read:
    for path in files:
        if not is_utf8(str(path)):
            raise ImageError(f"{shown(str(path))}: the name is not UTF-8. Rename the file.")
    image, geometry = read_case(files)
    box = None
    part = geometry
    if predictor.region is not None:
        box = predictor.region.find(image, geometry)
        image, part = image[(slice(None), *box)], geometry.cropped(box)
    inputs = predictor.preprocess(image, part, str(files[0]))
    return _Read(inputs=inputs, geometry=geometry, box=box)


class _Scratch:
    """Probabilities on disk, [channels, z, y, x] float16, while they are computed."""

    def __init__(self, target: Path, shape: tuple[int, ...]) -> None:
        self._path = target.with_name(f".{target.name}.probabilities")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._array = np.memmap(self._path, dtype=np.float16, mode="w+", shape=shape)

    def __setitem__(self, place: Any, values: Any) -> None:
        self._array[place] = values
        # The system writes it to the disk; it need not stay in this process's memory.
        if hasattr(mmap, "MADV_DONTNEED"):
            self._array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def write(self, target: Path) -> None:
        """Writes them as .npz, with the key "probabilities"."""
        with (
            atomic_path(target) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("probabilities.npy", "w", force_zip64=True) as stream,
        ):
            header = np.lib.format.header_data_from_array_1_0(self._array)
            np.lib.format.write_array_header_1_0(stream, header)
            with self._path.open("rb") as source:
                while part := source.read(CHUNK_BYTES):
                    stream.write(part)

    def remove(self) -> None:
        """Removes the file."""
        self._path.unlink(missing_ok=True)


@contextmanager
def _removing(scratch: _Scratch | None) -> Iterator[None]:
    try:
        yield
    finally:
        if scratch is not None:
            scratch.remove()


def _write(target: Path, prediction: Prediction, probabilities: _Scratch | None) -> None:
    """Writes the probabilities first: a label map that is there means that the case is done."""
    with _removing(probabilities):
        if probabilities is not None:
            probabilities.write(probabilities_path(target))
        write_labels(target, prediction.labels, prediction.geometry)


def probabilities_path(target: Path) -> Path:
    """Where the probabilities of a label map are written."""
    return target.with_name(f"{strip_ending(target.name) or target.name}.npz")
