"""The spacing of a 3D TIFF, which lies beside it as JSON: `{"spacing": [z, y, x]}`.

The names are nnU-Net's: `case.json` for the label map `case.tif` and for the channels
`case_0000.tif`, `case_0001.tif`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from autoseg.errors import ImageError
from autoseg.schema.serialise import write_text

Spacing = tuple[float, float, float]
KEY = "spacing"
MOST_BYTES = 2**20
_CHANNEL = re.compile(r"_\d{4}$")
_EXPECTED = 'expected {"spacing": [z, y, x]} with three positive numbers in mm'


def find_spacing_file(image: Path, *, is_label_map: bool = False) -> Path | None:
    """The spacing file of a TIFF, or None.

    Args:
        image: The TIFF.
        is_label_map: Its name has no channel number, even where it ends like one.
    """
    names = [image.stem]
    if not is_label_map:
        names.append(_CHANNEL.sub("", image.stem))
    paths = [image.with_name(f"{name}.json") for name in dict.fromkeys(names)]
    there = [path for path in paths if path.is_file()]
    # Other programs put their notes beside each channel: the first that has a spacing is meant.
    return next((path for path in there if KEY in _read(path)), there[0] if there else None)


def read_spacing(path: Path) -> Spacing:
    """Reads a spacing file.

    Raises:
        ImageError: It holds something else.
    """
    content = _read(path)
    if KEY not in content:
        raise ImageError(
            f"{path}: has no key '{KEY}'; {_EXPECTED}. Correct it, or keep it elsewhere."
        )
    values = content[KEY]
    try:
        spacing = tuple(float(value) for value in values if not isinstance(value, (bool, str)))
    except (TypeError, OverflowError):
        spacing = ()
    if len(spacing) != 3 or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise ImageError(f"{path}: the spacing is {values!r:.60}; {_EXPECTED}. Correct it.")
    return spacing


def write_spacing(label_map: Path, spacing_mm: Spacing) -> None:
    """Writes the spacing file of a label map.

    Raises:
        ImageError: Another file has its name.
    """
    path = label_map.with_suffix(".json")
    if path.exists() and not (path.is_file() and set(_read(path)) == {KEY}):
        raise ImageError(
            f"{path}: the spacing of {label_map.name} belongs here, but this is another file. "
            "Choose another folder."
        )
    write_text(path, json.dumps({KEY: list(spacing_mm)}))


def _read(path: Path) -> dict[str, Any]:
    """The content of a JSON file; empty where it is no mapping or no JSON at all."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
