"""What a user can get wrong.

AutosegError                 base: shown as one or two lines, never as a traceback
├── UsageError               a wrong argument or combination of arguments (exit code 2)
└── InputError               wrong input: a file, a value in it, a folder (exit code 1)
    ├── DatasetError         faults of a data set, all of them together
    ├── ImageError           an image that cannot be read or does not fit
    ├── SchemaError          a file of ours with unknown, missing or ill-typed keys
    ├── CheckpointError      a model file that is damaged, foreign or unsafe
    └── UnknownNameError     a name that no registry knows
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class AutosegError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 1


class UsageError(AutosegError):
    """Wrong use of a command."""

    exit_code = 2


class InputError(AutosegError):
    """Wrong input."""


class DatasetError(InputError):
    """Faults of a data set.

    Args:
        faults: One line each, with the file, the value, the expectation and the remedy.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class ImageError(InputError):
    """An image that cannot be read or that does not fit."""


class SchemaError(InputError):
    """A file of ours that does not follow its schema."""


class CheckpointError(InputError):
    """A model file that is damaged, foreign or unsafe."""


class UnknownNameError(InputError):
    """A name that a registry does not know.

    Args:
        kind: What is looked up, for example "loss".
        name: The unknown name.
        known: The known names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"Unknown {kind} '{name}'. Known: {', '.join(sorted(known))}.")
