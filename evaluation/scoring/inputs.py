"""Which files an evaluation has, and which of them belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from evaluation.challenges.profile import Profile
from evaluation.errors import EvaluationError
from evaluation.files.label_maps import list_label_maps, stem
from evaluation.files.probability_maps import list_probabilities
from evaluation.labels import Classes
from evaluation.scoring.case import CaseFiles
from evaluation.scoring.consensus import Consensus

CONSENSUS: tuple[Consensus, ...] = ("majority", "staple")
File = TypeVar("File")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Files of an evaluation.

    Attributes:
        references: Case → label map; None: made from the raters.
        methods: Method → case → label map.
        raters: Rater → case → label map.
        probabilities: Method → case → files.
        consensus: How the raters make the reference, where there is none.
        images: Case → image, for profiles that crop to it.
        vessels: Case → map of vessels, for profiles that need it.
    """

    references: Mapping[str, Path] | None
    methods: Mapping[str, Mapping[str, Path]]
    raters: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    probabilities: Mapping[str, Mapping[str, tuple[Path, ...]]] = field(default_factory=dict)
    consensus: Consensus = "majority"
    images: Mapping[str, Path] = field(default_factory=dict)
    vessels: Mapping[str, Path] = field(default_factory=dict)

    def cases(self) -> list[CaseFiles]:
        """Files by case, of all cases that have a reference or a rater."""
        names = set(self.references or ())
        if self.references is None:
            names = {case for files in self.raters.values() for case in files}
        return [
            CaseFiles(
                case=case,
                reference=None if self.references is None else self.references[case],
                raters={name: files[case] for name, files in self.raters.items() if case in files},
                predictions={name: files.get(case) for name, files in self.methods.items()},
                probabilities={name: files.get(case) for name, files in self.probabilities.items()},
            )
            for case in sorted(names)
        ]


def check_names(inputs: Inputs, cases: Sequence[CaseFiles]) -> None:
    """Refuses folders of which no file has the name of a reference.

    Raises:
        EvaluationError: See above.
    """
    known = {files.case for files in cases}
    for method, files in inputs.methods.items():
        if not known & set(files):
            raise EvaluationError(
                f"No prediction{f' of {method}' if method else ''} has the name of a reference; "
                f"references are called {_some(known)}, predictions {_some(files)}."
            )
    for name, listed in (*inputs.raters.items(), *inputs.probabilities.items()):
        if not known & set(listed):
            raise EvaluationError(
                f"No file{f' of {name}' if name else ''} has the name of a reference; references "
                f"are called {_some(known)}, these {_some(listed)}."
            )


def rater_notes(inputs: Inputs, cases: Sequence[CaseFiles]) -> list[str]:
    """Which raters and probabilities are missing, in words."""
    notes = []
    for name, listed in inputs.raters.items():
        lacking = [files.case for files in cases if files.case not in listed]
        if lacking:
            notes.append(
                f"Rater {name} has no label map of {len(lacking)} cases ({_some(lacking)}); they "
                "are scored against the other raters."
            )
    for method, files in inputs.probabilities.items():
        lacking = [item.case for item in cases if item.case not in files]
        if lacking:
            notes.append(
                f"Probabilities{f' of {method}' if method else ''} are missing for {len(lacking)} "
                f"cases ({_some(lacking)}); they count as worst."
            )
    return notes


def missing_predictions(inputs: Inputs, cases: Sequence[CaseFiles]) -> tuple[str, ...]:
    """Cases without a prediction."""
    return tuple(
        f"{method}: {files.case}" if method else files.case
        for method, listed in inputs.methods.items()
        for files in cases
        if files.case not in listed
    )


def surplus_predictions(inputs: Inputs, cases: Sequence[CaseFiles]) -> tuple[str, ...]:
    """Predictions without a reference."""
    known = {files.case for files in cases}
    return tuple(
        f"{method}: {case}" if method else case
        for method, listed in inputs.methods.items()
        for case in sorted(listed)
        if case not in known
    )


def find_inputs(
    reference: Path,
    predictions: Sequence[Path],
    raters: Sequence[Path],
    probabilities: Sequence[Path],
    *,
    classes: Classes | None = None,
    profile: Profile | None = None,
    images: Path | None = None,
    vessels: Path | None = None,
) -> Inputs:
    """Finds the files; see `evaluate_folders`.

    Raises:
        EvaluationError: Folders are missing, or their numbers do not fit.
    """
    if not predictions:
        raise EvaluationError("No predictions: give at least one folder or file.")
    if probabilities and len(probabilities) != len(predictions):
        raise EvaluationError(
            f"{len(probabilities)} folders of probabilities for {len(predictions)} predictions: "
            "give one per prediction, in the same order."
        )
    by_rater = {
        name: list_label_maps(path) for name, path in name_folders(rater_folders(raters)).items()
    }
    if is_consensus(reference) and not by_rater:
        raise EvaluationError(f"'{reference}' needs the raters' label maps: give --raters.")
    list_cases = list_label_maps if profile is None else profile.list_cases
    references = None if is_consensus(reference) else list_cases(reference)
    names = tuple(name_folders(predictions)) if len(predictions) > 1 else ("",)
    members = tuple(classes.members) if classes is not None else ()
    labels = [_fit(references, path, list_label_maps(path)) for path in predictions]
    soft = [_fit(references, path, list_probabilities(path, members)) for path in probabilities]
    return Inputs(
        references=references,
        methods=dict(zip(names, labels, strict=True)),
        raters=by_rater,
        probabilities=dict(zip(names, soft, strict=False)),
        consensus="staple" if str(reference) == "staple" else "majority",
        images={} if images is None else list_label_maps(images),
        vessels={} if vessels is None else list_label_maps(vessels),
    )


def _fit(
    references: Mapping[str, Path] | None, path: Path, files: Mapping[str, File]
) -> dict[str, File]:
    """Two single files belong together whatever they are called."""
    if references is not None and len(references) == 1 and path.is_file():
        return dict(zip(references, files.values(), strict=True))
    return dict(files)


def is_consensus(reference: Path) -> bool:
    """Whether a reference is to be made of the raters."""
    return str(reference) in CONSENSUS and not reference.exists()


def rater_folders(folders: Sequence[Path]) -> list[Path]:
    """The folders of the raters; one that holds such folders stands for those."""
    return [inside for folder in folders for inside in _raters_in(folder) or [folder]]


def _raters_in(folder: Path) -> list[Path]:
    """Folders with label maps in a folder that has none itself."""
    if not folder.is_dir() or _holds_label_maps(folder):
        return []
    inside = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in inside if path.is_dir() and _holds_label_maps(path))


def _holds_label_maps(folder: Path) -> bool:
    return any(stem(path.name) is not None for path in folder.iterdir() if not path.is_dir())


def name_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Names of folders: their last part, or as much more of the path as tells them apart."""
    for depth in range(1, 16):
        names = ["/".join(path.resolve().parts[-depth:]) for path in folders]
        if len(set(names)) == len(names):
            return dict(zip(names, folders, strict=True))
    raise EvaluationError(f"{folders[0]}: is given twice.")


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(f"'{name}'" for name in ordered[:3]) + (", …" if len(ordered) > 3 else "")
