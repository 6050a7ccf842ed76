"""File names of nnU-Net's raw format, `{case}_{channel:04d}{ending}`: which files make a case.

The one rule, of planning and prediction:

- Endings count whatever their capitals; `.raw` and other files that are no images are left out.
- Files whose names differ only in a last `_` and four digits are channels of one case where one of
  them is `_0000`: all of 0 to n - 1, or `_0000` alone, which may hold all n. Everything else beside
  a `_0000` is an error.
- Without a `_0000` digits are part of the name: `img_0001.png` and `scan_2021.nii.gz` are cases of
  their own with all channels inside, as `img.png` is. Planning, which wants the raw format, refuses
  them.
- Two files for the same channel of a case, or for the same case, are an error, whatever their
  endings: nothing is dropped or overwritten.
- Names that are no UTF-8 are an error of that file alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autoseg.errors import InputError
from autoseg.images.files import FILE_ENDINGS

MAX_LISTED = 6
_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SortedNames:
    """File names by the cases that they make.

    Attributes:
        channels: Case → channel → name; channel 0 is among them.
        single: Case → name, of files that are a case of their own.
        clashes: Pairs of names that stand for the same channel or case; the second is in neither
            of the other two.
    """

    channels: dict[str, dict[int, str]] = field(default_factory=dict)
    single: dict[str, str] = field(default_factory=dict)
    clashes: list[tuple[str, str]] = field(default_factory=list)


def strip_ending(name: str, ending: str | None = None) -> str | None:
    """The name without its image ending, or None where it is no image."""
    for known in (ending,) if ending else FILE_ENDINGS:
        if name.lower().endswith(known.lower()):
            return name[: -len(known)]
    return None


def image_ending(name: str) -> str | None:
    """The image ending of a file name in small letters, or None."""
    return next((known for known in FILE_ENDINGS if name.lower().endswith(known)), None)


def is_utf8(name: str) -> bool:
    """Whether a name can be written down, which not every name of a file can."""
    return shown(name) == name


def shown(name: str) -> str:
    """A name for messages: bytes that are no UTF-8 are written as numbers."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def split_channel(stem: str) -> tuple[str, int] | None:
    """Case and channel number of a name without its ending, or None."""
    match = _CHANNEL.match(stem)
    return None if match is None else (match["case"], int(match["channel"]))


def sort_names(names: Iterable[str], ending: str | None = None) -> SortedNames:
    """Sorts file names into cases and channels by the rule above.

    Args:
        names: Names in one folder; hidden files and those that are no images are left out.
        ending: The only image ending that counts; None takes all.
    """
    found = SortedNames()
    numbered: dict[str, dict[int, str]] = {}
    whole: list[tuple[str, str]] = []
    for name in sorted(names):
        stem = None if name.startswith(".") else strip_ending(name, ending)
        if stem is None:
            continue
        if (parts := split_channel(stem)) is None:
            whole.append((stem, name))
            continue
        case, channel = parts
        other = numbered.setdefault(case, {}).setdefault(channel, name)
        if other != name:
            found.clashes.append((other, name))
    for case, channels in sorted(numbered.items()):
        if 0 in channels:
            found.channels[case] = channels
        else:
            whole += [(f"{case}_{channel:04d}", name) for channel, name in channels.items()]
    for stem, name in sorted(whole):
        first = found.channels.get(stem, {}).get(0) or found.single.setdefault(stem, name)
        if first != name:
            found.clashes.append((first, name))
    return found


def input_cases(source: Path, num_channels: int) -> dict[str, tuple[Path, ...]]:
    """Cases to predict: a folder, or one file with the channels that lie beside it.

    Args:
        source: Folder or file.
        num_channels: Channels that the model expects.

    Returns:
        Case → files in channel order.

    Raises:
        InputError: Nothing is found, or names do not follow the rule; all of them are named.
    """
    if source.is_file():
        return _one_case(source, num_channels)
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder.")
    result = _cases(source, sort_names(os.listdir(source)), num_channels)
    if not result:
        raise InputError(f"{source}: no image found. Known: {', '.join(FILE_ENDINGS)}.")
    return result


def _cases(folder: Path, found: SortedNames, num_channels: int) -> dict[str, tuple[Path, ...]]:
    faults = [
        f"{folder / shown(second)}: stands for the same as {shown(first)}. Rename or remove one."
        for first, second in found.clashes
    ]
    faults += _channel_faults(folder, found, num_channels)
    if faults:
        raise InputError("\n".join(faults))
    result: dict[str, tuple[Path, ...]] = {
        case: (folder / name,) for case, name in found.single.items()
    }
    for case, channels in found.channels.items():
        result[case] = tuple(folder / channels[index] for index in sorted(channels))
    return dict(sorted(result.items()))


def _channel_faults(folder: Path, found: SortedNames, num_channels: int) -> Iterator[str]:
    wanted = set(range(num_channels))
    for case, channels in found.channels.items():
        if set(channels) in (wanted, {0}):
            continue
        listed = ", ".join(map(str, sorted(channels)[:MAX_LISTED]))
        listed += ", …" if len(channels) > MAX_LISTED else ""
        told = f"{folder}: case '{shown(case)}' has the channels [{listed}], the model expects "
        if missing := sorted(wanted - set(channels)):
            names = ", ".join(f"_{item:04d}" for item in missing)
            yield f"{told}{num_channels}; missing: {names}."
        else:
            yield (
                f"{told}{num_channels}. Remove the others; where each file is a case of its own, "
                f"rename {shown(channels[0])}, so that no name ends in _0000."
            )


def _one_case(source: Path, num_channels: int) -> dict[str, tuple[Path, ...]]:
    """The case of a file that was named, with its other channels where the model expects some."""
    stem = strip_ending(source.name)
    if stem is None:
        raise InputError(f"{source}: not an image. Known: {', '.join(FILE_ENDINGS)}.")
    parts = split_channel(stem)
    if parts is None:
        return {stem: (source,)}
    if num_channels == 1:
        return {parts[0] if parts[1] == 0 else stem: (source,)}
    ending = source.name[len(stem) :]
    beside = [
        name
        for name in os.listdir(source.parent)
        if (other := split_channel(strip_ending(name, ending) or "")) and other[0] == parts[0]
    ]
    found = sort_names(beside, ending)
    return _cases(source.parent, found, num_channels) if found.channels else {stem: (source,)}
