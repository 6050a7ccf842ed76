"""A data set: its cases, channels, labels and raters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from autoseg.schema.labels import LabelScheme
from autoseg.schema.names import name_fault


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image with its annotations.

    Attributes:
        identifier: Name of the case, unique in the data set.
        images: One file per channel, or one file that holds all channels.
        label: Label map, or None where raters outlined the case or nobody did.
        raters: Label map per rater who outlined this case.
    """

    identifier: str
    images: tuple[Path, ...]
    label: Path | None = None
    raters: dict[str, Path] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """What is wrong with the case, in words."""
        names = {"identifier": self.identifier, **{f"rater {name}": name for name in self.raters}}
        found = (name_fault(what, name) for what, name in names.items())
        return [fault for fault in found if fault]

    @property
    def annotations(self) -> tuple[Path, ...]:
        """All label maps of the case."""
        return ((self.label,) if self.label else ()) + tuple(self.raters.values())


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A labelled data set in nnU-Net's raw format.

    Attributes:
        name: Name of the folder.
        root: Folder.
        channel_names: Channels in order; the names choose the normalisation.
        labels: Label values and classes.
        file_ending: Ending of images and label maps, with the dot.
        cases: Cases by identifier, ascending.
        raters: Names of raters, empty where there is one label map per case.
    """

    name: str
    root: Path
    channel_names: tuple[str, ...]
    labels: LabelScheme
    file_ending: str
    cases: tuple[Case, ...]
    raters: tuple[str, ...] = ()
