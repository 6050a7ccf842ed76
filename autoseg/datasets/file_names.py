"""File names of nnU-Net's raw format: `{case}_{channel:04d}{ending}`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from autoseg.errors import InputError
from autoseg.images.files import FILE_ENDINGS

_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")


def strip_ending(name: str, ending: str | None = None) -> str | None:
    """The name without its image ending, or None where it is no image."""
    for known in (ending,) if ending else FILE_ENDINGS:
        if name.lower().endswith(known.lower()):
            return name[: -len(known)]
    return None


def image_ending(name: str) -> str | None:
    """The image ending of a file name, or None."""
    return next((known for known in FILE_ENDINGS if name.lower().endswith(known)), None)


def group_channels(
    names: Iterable[str], ending: str | None = None
) -> tuple[dict[str, dict[int, str]], list[str]]:
    """Sorts file names into cases and channels.

    Returns:
        Case → channel → name, and the image names that do not end in a channel number.
    """
    cases: dict[str, dict[int, str]] = {}
    odd: list[str] = []
    for name in sorted(names):
        if name.startswith("."):
            continue
        stem = strip_ending(name, ending)
        if stem is None:
            continue
        match = _CHANNEL.match(stem)
        if match is None:
            odd.append(name)
            continue
        cases.setdefault(match["case"], {})[int(match["channel"])] = name
    return dict(sorted(cases.items())), odd


def input_cases(source: Path, num_channels: int) -> dict[str, tuple[Path, ...]]:
    """Cases to predict: a folder in the raw format, or one file.

    Files whose names carry no channel number are cases of their own, with all channels inside.

    Args:
        source: Folder or file.
        num_channels: Channels that the model expects.

    Returns:
        Case → files in channel order.

    Raises:
        InputError: Nothing is found, or channels are missing.
    """
    if source.is_file():
        stem = strip_ending(source.name)
        if stem is None:
            raise InputError(f"{source}: not an image. Known: {', '.join(FILE_ENDINGS)}.")
        match = _CHANNEL.match(stem)
        if match is None or num_channels == 1:
            return {match["case"] if match else stem: (source,)}
        ending = source.name[len(stem) :]
        siblings = [
            source.with_name(f"{match['case']}_{channel:04d}{ending}")
            for channel in range(num_channels)
        ]
        found = [path for path in siblings if path.is_file()]
        return {match["case"]: tuple(siblings) if len(found) == num_channels else (source,)}
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder.")
    names = sorted(os.listdir(source))
    cases, odd = group_channels(names)
    result: dict[str, tuple[Path, ...]] = {}
    for case, channels in cases.items():
        if len(channels) not in (1, num_channels):
            missing = sorted(set(range(num_channels)) - set(channels))
            raise InputError(
                f"{source}: case '{case}' has the channels {sorted(channels)}, the model expects "
                f"{num_channels}; missing: {', '.join(f'_{item:04d}' for item in missing)}."
            )
        result[case] = tuple(source / channels[index] for index in sorted(channels))
    for name in odd:
        stem = strip_ending(name) or name
        if stem in result:
            raise InputError(f"{source}: two files make the case '{stem}'; rename {name}.")
        result[stem] = (source / name,)
    if not result:
        raise InputError(f"{source}: no image found. Known: {', '.join(FILE_ENDINGS)}.")
    return dict(sorted(result.items()))
