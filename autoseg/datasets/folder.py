"""Reads a data set folder; every fault of dataset.json and of the file names is found at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autoseg.datasets.file_names import is_utf8, shown, sort_names, split_channel, strip_ending
from autoseg.datasets.label_table import read_labels
from autoseg.errors import DatasetError
from autoseg.images.files import FILE_ENDINGS
from autoseg.schema.dataset import Case, Dataset

DESCRIPTION = "dataset.json"


class _Faults:
    """Collects faults and warnings."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, where: Path | str, what: str) -> None:
        self.errors.append(f"{where}: {what}")

    def warn(self, where: Path | str, what: str) -> None:
        self.warnings.append(f"{where}: {what}")


def read_dataset(root: Path) -> tuple[Dataset, list[str]]:
    """Reads a data set in nnU-Net's raw format.

    Args:
        root: Folder with dataset.json, imagesTr and labelsTr (or ratersTr).

    Returns:
        The data set and warnings.

    Raises:
        DatasetError: All faults of dataset.json, or all faults of the files.
    """
    dataset, warnings, errors = survey_dataset(root)
    if errors or dataset is None:
        raise DatasetError(errors)
    return dataset, warnings


def survey_dataset(root: Path) -> tuple[Dataset | None, list[str], list[str]]:
    """Reads a data set as far as that is possible.

    Returns:
        (data set with the cases that are complete, or None; warnings; errors).
    """
    faults = _Faults()
    if not root.is_dir():
        faults.error(root, "no such folder; expected a data set with dataset.json and imagesTr.")
        return None, faults.warnings, faults.errors
    if not is_utf8(str(root)):
        faults.error(shown(str(root)), "the name is not UTF-8. Rename the folder.")
        return None, faults.warnings, faults.errors
    description = _read_description(root, faults)
    if description is None:
        return None, faults.warnings, faults.errors
    where = root / DESCRIPTION
    channels = _channel_names(description, where, faults)
    labels = read_labels(description, where, faults.error)
    ending = _file_ending(description, where, faults)
    raters = _raters(description, where, faults)
    if not (channels and labels and ending) or raters is None:
        return None, faults.warnings, faults.errors
    if "dataset" in description:
        cases = _explicit_cases(root, description["dataset"], faults)
    else:
        cases = _found_cases(root, ending, len(channels), raters, faults)
    _check_count(description, len(cases), where, faults)
    dataset = Dataset(
        name=root.resolve().name,
        root=root.resolve(),
        channel_names=channels,
        labels=labels,
        file_ending=ending,
        cases=tuple(sorted(cases, key=lambda case: case.identifier)),
        raters=raters,
    )
    return dataset, faults.warnings, faults.errors


def _read_description(root: Path, faults: _Faults) -> dict[str, Any] | None:
    path = root / DESCRIPTION
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        duplicates.extend(sorted({key for key in keys if keys.count(key) > 1}))
        return dict(items)

    try:
        text = path.read_text(encoding="utf-8-sig")
        description = json.loads(text, object_pairs_hook=pairs)
    except FileNotFoundError:
        faults.error(path, "no such file. A data set needs it: channel_names, labels, file_ending.")
        return None
    except (OSError, ValueError) as error:
        faults.error(path, f"cannot be read as JSON ({' '.join(str(error).split())}).")
        return None
    if not isinstance(description, dict):
        faults.error(path, f"holds a {type(description).__name__}, expected a mapping.")
        return None
    for key in duplicates:
        faults.error(path, f"the key '{key}' is there twice. Remove one of them.")
    return description


def _channel_names(
    description: dict[str, Any], where: Path, faults: _Faults
) -> tuple[str, ...] | None:
    key = "channel_names" if "channel_names" in description else "modality"
    if key not in description:
        faults.error(where, 'the key \'channel_names\' is missing, for example {"0": "CT"}.')
        return None
    names = description[key]
    if not isinstance(names, dict) or not names:
        faults.error(where, f'{key} is {names!r}, expected a mapping such as {{"0": "CT"}}.')
        return None
    if sorted(names) != sorted(str(index) for index in range(len(names))):
        faults.error(where, f"{key} has the keys {sorted(names)}, expected 0, 1, … without gaps.")
        return None
    wrong = [name for name in names.values() if not isinstance(name, str) or not name]
    if wrong:
        faults.error(where, f'{key} holds {wrong[0]!r}, expected a name such as "CT".')
        return None
    return tuple(names[str(index)] for index in range(len(names)))


def _file_ending(description: dict[str, Any], where: Path, faults: _Faults) -> str | None:
    ending = description.get("file_ending")
    if ending is None:
        faults.error(where, "the key 'file_ending' is missing, for example \".nii.gz\".")
    elif not isinstance(ending, str) or ending.lower() not in FILE_ENDINGS:
        faults.error(where, f"file_ending is {ending!r}. Known: {', '.join(FILE_ENDINGS)}.")
    else:
        return ending
    return None


def _raters(description: dict[str, Any], where: Path, faults: _Faults) -> tuple[str, ...] | None:
    raters = description.get("raters", [])
    ok = isinstance(raters, list) and all(_is_plain_name(rater) for rater in raters)
    if not ok:
        faults.error(where, f"raters is {raters!r}, expected a list of folder names in ratersTr.")
        return None
    if len(set(raters)) < len(raters):
        faults.error(where, f"raters is {raters!r}: a name is there twice.")
        return None
    return tuple(raters)


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name


def _check_count(description: dict[str, Any], count: int, where: Path, faults: _Faults) -> None:
    stated = description.get("numTraining")
    if stated is not None and (type(stated) is not int or stated < 0):
        faults.error(where, f"numTraining is {stated!r}, expected the number of cases.")
    elif stated is not None and stated != count:
        faults.warn(where, f"numTraining is {stated}, but {count} complete cases were found.")


def _listing(folder: Path, faults: _Faults) -> list[str]:
    """Names in a folder that can be written down."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        faults.error(folder, "no such folder.")
        return []
    for name in names:
        if not is_utf8(name) and strip_ending(name) is not None:
            faults.error(folder / shown(name), "the name is not UTF-8. Rename the file.")
    return [name for name in names if is_utf8(name)]


def _found_cases(
    root: Path, ending: str, num_channels: int, raters: tuple[str, ...], faults: _Faults
) -> list[Case]:
    images, labels = root / "imagesTr", root / "labelsTr"
    names = _listing(images, faults)
    grouped = _grouped_images(images, names, ending, faults)
    by_rater = {rater: _by_case(root / "ratersTr" / rater, ending, faults) for rater in raters}
    label_names = _by_case(labels, ending, faults) if not raters else {}
    cases = []
    for identifier, channels in grouped.items():
        complete = _check_channels(images, identifier, channels, num_channels, ending, faults)
        given = {
            rater: root / "ratersTr" / rater / found[identifier]
            for rater, found in by_rater.items()
            if identifier in found
        }
        label = labels / label_names[identifier] if identifier in label_names else None
        if label is None and not given:
            wanted = root / "ratersTr" / "*" if raters else labels
            faults.error(
                wanted / f"{identifier}{ending}",
                f"no label for the image {images / channels[min(channels)]}. "
                "Add it or remove the image.",
            )
        elif complete:
            files = tuple(images / channels[index] for index in sorted(channels))
            cases.append(Case(identifier=identifier, images=files, label=label, raters=given))
    for folder, found in ((labels, label_names), *_rater_folders(root, by_rater)):
        for identifier, name in found.items():
            if identifier not in grouped:
                faults.error(folder / name, "label without an image. Remove it or add the image.")
    return cases


def _grouped_images(
    folder: Path, names: list[str], ending: str, faults: _Faults
) -> dict[str, dict[int, str]]:
    """Case → channel → name, by the rule of `file_names`."""
    found = sort_names(names, ending)
    for stem, name in found.single.items():
        case, channel = split_channel(stem) or (stem, None)
        if channel is None:
            faults.error(folder / name, f"the name must end in _0000{ending} (channel number).")
        else:
            faults.error(
                folder / name,
                f"there is no {case}_0000{ending}; channels are counted from 0. Where the number "
                f"is part of the case's name, call it {stem}_0000{ending}.",
            )
    _name_clashes(folder, found.clashes, faults)
    _check_other_endings(folder, names, ending, faults)
    _check_letter_case(folder, found.channels, faults)
    if not found.channels and not found.single and names:
        faults.error(folder, f"no file ends in {ending} (file_ending of dataset.json).")
    elif not names:
        faults.error(folder, "holds no images.")
    return found.channels


def _rater_folders(
    root: Path, by_rater: dict[str, dict[str, str]]
) -> Iterable[tuple[Path, dict[str, str]]]:
    return ((root / "ratersTr" / rater, found) for rater, found in by_rater.items())


def _by_case(folder: Path, ending: str, faults: _Faults) -> dict[str, str]:
    """Label maps: case → name. Two for one case are a fault, whatever their endings."""
    found: dict[str, str] = {}
    clashes = []
    names = [name for name in _listing(folder, faults) if not name.startswith(".")]
    for name in names:
        stem = strip_ending(name, ending)
        if stem and found.setdefault(stem, name) != name:
            clashes.append((found[stem], name))
    for name in names:
        stem = strip_ending(name)
        if stem in found and strip_ending(name, ending) is None:
            clashes.append((found[stem], name))
    _name_clashes(folder, clashes, faults)
    return found


def _name_clashes(folder: Path, clashes: Iterable[tuple[str, str]], faults: _Faults) -> None:
    for first, second in clashes:
        faults.error(folder / second, f"stands for the same as {first}. Rename or remove one.")


def _check_channels(
    folder: Path,
    identifier: str,
    channels: dict[int, str],
    num_channels: int,
    ending: str,
    faults: _Faults,
) -> bool:
    if len(channels) == 1 and 0 in channels:
        return True  # one file may hold all channels; reading tells
    missing = sorted(set(range(num_channels)) - set(channels))
    surplus = sorted(set(channels) - set(range(num_channels)))
    for index in missing:
        faults.error(
            folder / f"{identifier}_{index:04d}{ending}",
            f"missing channel {index} of case '{identifier}'. Add it or remove the case.",
        )
    for index in surplus:
        faults.error(
            folder / channels[index],
            f"channel {index}, but dataset.json names only {num_channels} channels.",
        )
    return not missing and not surplus


def _check_other_endings(folder: Path, names: list[str], ending: str, faults: _Faults) -> None:
    own = sort_names(names, ending).channels
    for name in names:
        stem = strip_ending(name)
        # sort_names took what carries the right ending; .raw belongs to .mhd
        if stem is None or name.lower().endswith(ending.lower()) or name.startswith("."):
            continue
        case, _ = split_channel(stem) or (stem, 0)
        if case in own:
            faults.error(
                folder / name,
                f"duplicate case: '{case}' is also there with {ending}. Remove one of them.",
            )
        else:
            faults.error(folder / name, f"ends otherwise than file_ending {ending}.")


def _check_letter_case(folder: Path, grouped: dict[str, Any], faults: _Faults) -> None:
    seen: dict[str, str] = {}
    for identifier in grouped:
        other = seen.setdefault(identifier.casefold(), identifier)
        if other != identifier:
            faults.error(
                folder / identifier,
                f"duplicate case: '{identifier}' and '{other}' differ in capitals only.",
            )


def _explicit_cases(root: Path, table: Any, faults: _Faults) -> list[Case]:
    where = root / DESCRIPTION
    if not isinstance(table, dict) or not table:
        faults.error(where, 'dataset must map case names to {"images": […], "label": …}.')
        return []
    cases = []
    for identifier, entry in table.items():
        paths = entry.get("images") if isinstance(entry, dict) else None
        label = entry.get("label") if isinstance(entry, dict) else None
        listed: list[Any] = [*paths, label] if isinstance(paths, list) and paths else []
        is_text = bool(listed) and all(isinstance(path, str) for path in listed)
        if not _is_plain_name(identifier) or not is_text:
            faults.error(
                where, f'dataset.{identifier} must be {{"images": [files], "label": file}}.'
            )
            continue
        resolved = [_inside(root, path) for path in listed]
        for path, inside in zip(listed, resolved, strict=True):
            if inside is None:
                faults.error(
                    where,
                    f"dataset.{identifier}: {path} lies outside the data set. "
                    "Put the file, or a link to it, into the folder.",
                )
            elif not inside.is_file():
                faults.error(inside, f"no such file (case '{identifier}' of dataset.json).")
        found = [path for path in resolved if path is not None and path.is_file()]
        if len(found) == len(resolved):
            cases.append(Case(identifier=identifier, images=tuple(found[:-1]), label=found[-1]))
    return cases


def _inside(root: Path, path: str) -> Path | None:
    """The path below the root; None where its text leaves the root. Links may point anywhere."""
    top = os.path.abspath(root)
    full = os.path.normpath(os.path.join(top, path))
    return Path(full) if os.path.commonpath([top, full]) == top else None
