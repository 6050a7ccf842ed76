"""What a user can get wrong in an evaluation, and how names of others are shown."""

from __future__ import annotations


class EvaluationError(Exception):
    """Wrong input; the message names file, value and remedy.

    Args:
        *faults: One line each: control characters, which names may have, are made visible.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(printable(fault) for fault in faults))


def printable(text: str) -> str:
    """Text on one line: what could change or forge lines of a terminal or a file is made visible.

    Names of files, folders and classes come from anywhere.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
