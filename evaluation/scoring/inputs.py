"""Which files an evaluation has, and which of them belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.errors import EvaluationError
from evaluation.scoring.case import CaseFiles
from evaluation.scoring.consensus import Consensus


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


def rater_folders(folders: Sequence[Path]) -> list[Path]:
    """The folders of the raters; one that only holds folders stands for those."""
    if len(folders) != 1 or not folders[0].is_dir():
        return list(folders)
    inside = sorted(path for path in folders[0].iterdir() if not path.name.startswith("."))
    if len(inside) > 1 and all(path.is_dir() for path in inside):
        return inside
    return list(folders)


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
