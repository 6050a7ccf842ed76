"""Predictions of earlier stages on disk, on the grid of the configuration that reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt

from autoseg.errors import InputError
from autoseg.preprocessing.store import write_array
from autoseg.schema.serialise import write_text


class StageStore:
    """A folder with one array per case: [p, z, y, x], label indices or probabilities.

    Args:
        folder: The folder.
        cache_bytes: How much memory small cases may take to be kept.
    """

    def __init__(self, folder: Path, *, cache_bytes: int = 2**29) -> None:
        self.folder = folder
        self.cache_bytes = cache_bytes
        self._cache: dict[str, npt.NDArray[Any]] = {}
        self._cache_left = cache_bytes

    def with_own_cache(self, share: int) -> StageStore:
        """The same folder with an empty cache of a `share`-th of the size, for another process."""
        return StageStore(self.folder, cache_bytes=self.cache_bytes // share)

    def is_complete(self, name: str, source: str) -> bool:
        """Whether a case is there and was made by the models that `source` identifies."""
        try:
            return bool(json.loads(self._json(name).read_text())["source"] == source)
        except (OSError, ValueError, KeyError):
            return False

    def write(self, name: str, array: npt.NDArray[Any], source: str) -> None:
        """Stores a case; probabilities in half precision."""
        compact = array.astype(np.float16) if array.dtype.kind == "f" else array
        write_array(self._array(name), compact)
        write_text(self._json(name), json.dumps({"source": source}))

    def read(self, name: str) -> npt.NDArray[Any]:
        """Opens a case; small ones are kept in memory.

        Raises:
            InputError: The case is not there.
        """
        if name in self._cache:
            return self._cache[name]
        try:
            array = blosc2.open(str(self._array(name)), mode="r")
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.folder / name}: no prediction of the previous stage ({error})."
            ) from None
        if array.nbytes <= self._cache_left:
            self._cache_left -= array.nbytes
            self._cache[name] = array[:]
            return self._cache[name]
        opened: npt.NDArray[Any] = array
        return opened

    def _array(self, name: str) -> Path:
        return self.folder / f"{name}.b2nd"

    def _json(self, name: str) -> Path:
        return self.folder / f"{name}.json"
