"""Values of label maps that belong to no class, which is seldom meant."""

from __future__ import annotations

import threading
from collections.abc import Collection

from evaluation.labels import Classes

SHOWN = 5


class UnknownValues:
    """Collects them over the cases; several threads may do so.

    Args:
        classes: Classes and the ignore label of references.
    """

    def __init__(self, classes: Classes) -> None:
        self._known = {0, *(value for values in classes.members.values() for value in values)}
        self._ignore = classes.ignore
        self._in_references: dict[int, set[str]] = {}
        self._in_predictions: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    def add(self, case: str, reference: Collection[int], prediction: Collection[int]) -> None:
        """Adds the values that occur in a case."""
        with self._lock:
            for value in set(reference) - self._known - {self._ignore}:
                self._in_references.setdefault(value, set()).add(case)
            for value in set(prediction) - self._known:
                self._in_predictions.setdefault(value, set()).add(case)

    def notes(self) -> list[str]:
        """What was found, in words.

        Values that references have, too, are no surprise in predictions: somebody scores some
        classes of many.
        """
        surprising = {
            value: cases
            for value, cases in self._in_predictions.items()
            if value not in self._in_references
        }
        notes = []
        if surprising:
            notes.append(
                f"Predictions hold values that are no class: {_listed(surprising)}. They count as "
                "background; are the classes those of the predictions?"
            )
        if self._in_references:
            notes.append(
                f"References hold values that are no class: {_listed(self._in_references)}. They "
                "count as background."
            )
        return notes


def _listed(found: dict[int, set[str]]) -> str:
    values = ", ".join(map(str, sorted(found)[:SHOWN])) + (", …" if len(found) > SHOWN else "")
    cases = sorted(set().union(*found.values()))
    return f"{values} (in {len(cases)} cases, such as '{cases[0]}')"
