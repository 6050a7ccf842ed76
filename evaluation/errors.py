"""What a user can get wrong in an evaluation."""

from __future__ import annotations


class EvaluationError(Exception):
    """Wrong input; the message names file, value and remedy, one fault per line."""
