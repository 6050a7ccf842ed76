"""Predicts files: while one case is computed, the next are read and the last is written."""

from __future__ import annotations

import logging
import mmap
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from autoseg.costs import prediction_memory
from autoseg.costs.machine import free_memory_bytes
from autoseg.datasets.file_names import image_ending, is_utf8, shown, strip_ending
from autoseg.errors import AutosegError, ImageError, UsageError
from autoseg.images.files import read_case, write_labels
from autoseg.inference.predictor import Floats, Inputs, Prediction, Predictor
from autoseg.inference.read_ahead import read_ahead
from autoseg.schema.geometry import Geometry
from autoseg.schema.serialise import atomic_path, remove_leftovers

logger = logging.getLogger(__name__)

FAULTS = (AutosegError, RuntimeError, MemoryError, OSError)
CHUNK_BYTES = 1 << 24
READ_AHEAD_SHARE = 0.25
"""Share of the free memory that cases may take which wait for their turn."""


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


@dataclass(kw_only=True)
class _Read:
    """A case that was read; it is emptied as soon as it is used, for futures keep their results.

    Attributes:
        geometry: Geometry of the image.
        peak_bytes: Memory that loading it took, what it still holds included.
        image: [c, z, y, x], or None where it is preprocessed already.
        inputs: The preprocessed image, or None where its region has to be found first.
    """

    geometry: Geometry
    peak_bytes: int
    image: Floats | None = None
    inputs: Inputs | None = None


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
        workers: Threads that read ahead, as far as the memory goes.

    Returns:
        What became of the cases; a failing case does not stop the others.

    Raises:
        InputError: The models do not fit the memory.
    """
    report = Report()
    todo = {}
    for name, files in cases.items():
        if resume and _is_done(targets[name], probabilities=probabilities):
            report.skipped.append(name)
        else:
            todo[name] = files
    if todo:
        predictor.check_memory()
    for folder in {path.parent for path in targets.values()}:
        remove_leftovers(folder)
    _predict_all(predictor, todo, targets, report, probabilities=probabilities, workers=workers)
    for name, reason in report.failed.items():
        logger.error("Case '%s' failed: %s", shown(name), reason)
    return report


def _predict_all(
    predictor: Predictor,
    cases: Mapping[str, tuple[Path, ...]],
    targets: Mapping[str, Path],
    report: Report,
    *,
    probabilities: bool,
    workers: int,
) -> None:
    with (
        ThreadPoolExecutor(1) as writer,
        tqdm(total=len(cases), desc="Predicting", unit="case", disable=None) as bar,
    ):
        writing: tuple[str, Future[None]] | None = None
        for name, loaded in _read_ahead(predictor, cases, workers):
            try:
                found, values = _predict(
                    predictor, loaded.result(), cases[name], targets[name], probabilities
                )
                _finish(report, targets, writing)  # one at a time: results do not pile up
                writing = (name, writer.submit(_write, targets[name], found, values))
                del found
            except FAULTS as error:
                report.failed[name] = str(error) or type(error).__name__
            bar.update()
        _finish(report, targets, writing)


def _is_done(target: Path, *, probabilities: bool) -> bool:
    return target.exists() and (not probabilities or probabilities_path(target).exists())


def _read_ahead(
    predictor: Predictor, cases: Mapping[str, tuple[Path, ...]], workers: int
) -> Iterator[tuple[str, Future[_Read]]]:
    """Reads cases ahead of their turn; where the memory was limited, each at its turn."""
    limited = predictor.options.memory_bytes is not None
    memory_bytes = 0 if limited else int(READ_AHEAD_SHARE * free_memory_bytes())
    return read_ahead(
        partial(_load, predictor), cases, workers=max(1, workers), memory_bytes=memory_bytes
    )


def _predict(
    predictor: Predictor,
    read: _Read,
    files: tuple[Path, ...],
    target: Path,
    probabilities: bool,
) -> tuple[Prediction, _Scratch | None]:
    """Predicts a case; networks run here only, one after the other."""
    box = None
    if read.image is not None:
        part, geometry, box = predictor.locate(read.image, read.geometry)
        read.inputs = predictor.preprocess(part, geometry, str(files[0]))
        read.image = part = None
    assert read.inputs is not None
    with ExitStack() as stack:
        values = None
        if probabilities:
            values = _Scratch(target, (predictor.labels.num_outputs, *read.geometry.shape))
            stack.callback(values.remove)
        found = predictor.predict_inputs(read.inputs, read.geometry, box, values)
        stack.pop_all()  # the writer removes it
    read.inputs = None
    return found, values


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


def _load(predictor: Predictor, files: tuple[Path, ...]) -> _Read:
    """Reads a case, and preprocesses it unless a network has to find its region first."""
    for path in files:
        if not is_utf8(str(path)):
            raise ImageError(f"{shown(str(path))}: the name is not UTF-8. Rename the file.")
    image, geometry = read_case(files, num_channels=predictor.num_channels, warn=logger.warning)
    peak = prediction_memory.preprocessing_bytes(geometry.shape, len(image))
    if predictor.region is not None:
        return _Read(geometry=geometry, peak_bytes=peak, image=image)
    inputs = predictor.preprocess(image, geometry, str(files[0]))
    peak += sum(item.image.nbytes for item in inputs.values())
    return _Read(geometry=geometry, peak_bytes=peak, inputs=inputs)


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
