"""Every path below a workspace, decided once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """Folder of one trained network: a configuration and a fold."""

    folder: Path

    @property
    def last(self) -> Path:
        """Everything that `--resume` needs, written after every epoch."""
        return self.folder / "checkpoint_last.pt"

    @property
    def best(self) -> Path:
        """The model with the best validation score."""
        return self.folder / "checkpoint_best.pt"

    @property
    def final(self) -> Path:
        """The model at the end of the schedule."""
        return self.folder / "checkpoint_final.pt"

    @property
    def card(self) -> Path:
        """What the model is, for people."""
        return self.folder / "MODEL_CARD.md"

    @property
    def configuration(self) -> Path:
        """The configuration that this run trains, overrides included."""
        return self.folder / "configuration.yaml"

    @property
    def history(self) -> Path:
        """One row per epoch."""
        return self.folder / "history.csv"

    @property
    def plot(self) -> Path:
        """Loss and Dice over the epochs."""
        return self.folder / "progress.png"

    @property
    def log(self) -> Path:
        """The run's log."""
        return self.folder / "training.log"

    @property
    def preparation_log(self) -> Path:
        """What is logged while an earlier training may still lie in the folder."""
        return self.folder.with_name(f".preparing_{self.folder.name}.log")

    @property
    def paths(self) -> Path:
        """The paths of a multi-path network."""
        return self.folder / "paths"

    def path(self, name: str) -> Run:
        """Run of one path of a multi-path network."""
        return Run(self.paths / name)

    @property
    def stage_inputs(self) -> Path:
        """Predictions of the previous stage that this run learns from."""
        return self.folder / "stage_inputs"

    @property
    def replaced(self) -> Path:
        """An earlier training that this one replaces, until this one has a checkpoint."""
        return self.folder.with_name(f".replaced_{self.folder.name}")

    @property
    def validation(self) -> Path:
        """Predictions of the fold's validation cases, with their scores."""
        return self.folder / "validation"


@dataclass(frozen=True)
class Workspace:
    """Folder in which everything for one data set is made."""

    root: Path

    @property
    def dataset(self) -> Path:
        """The cases and their files."""
        return self.root / "cases.json"

    @property
    def fingerprint(self) -> Path:
        """What was measured in the data set."""
        return self.root / "fingerprint.json"

    @property
    def plan(self) -> Path:
        """The plan."""
        return self.root / "plan.yaml"

    @property
    def plan_text(self) -> Path:
        """The plan's decisions, for reading."""
        return self.root / "plan.md"

    @property
    def splits(self) -> Path:
        """Training and validation cases of every fold, in nnU-Net's format."""
        return self.root / "splits_final.json"

    @property
    def fold_origin(self) -> Path:
        """How the folds came about."""
        return self.root / "folds.json"

    @property
    def logs(self) -> Path:
        """Logs of commands that are not a training."""
        return self.root / "logs"

    @property
    def runs(self) -> Path:
        """All trained networks."""
        return self.root / "runs"

    def preprocessed(self, key: str) -> Path:
        """Preprocessed cases of every configuration with this preprocessing."""
        return self.root / "preprocessed" / key

    def run(self, configuration: str, fold: int | str) -> Run:
        """Folder of one training."""
        return Run(self.runs / configuration / f"fold_{fold}")

    def all_runs(self) -> list[Run]:
        """All finished runs, in order of their names."""
        folders = sorted(self.runs.glob("*/fold_*"))
        return [run for run in map(Run, folders) if run.final.is_file()]
