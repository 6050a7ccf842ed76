"""What an evaluation was asked for, so that finished work is recognised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evaluation.labels import Classes
from evaluation.scoring.inputs import Inputs
from evaluation.settings import Settings


def describe_request(
    inputs: Inputs,
    classes: Classes | None,
    settings: Settings,
    options: Sequence[str | int | None],
) -> str:
    """A text that is the same where files, classes and options are.

    Args:
        inputs: Files; one that was written anew is another one.
        classes: What is scored.
        settings: Choices about the metrics.
        options: What else decides about the scores.
    """
    named = None if classes is None else [dict(classes.members), classes.ignore]
    plain = [_version(), list(_states(inputs)), named, asdict(settings), list(options)]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _version() -> str:
    try:
        return version("autoseg")
    except PackageNotFoundError:  # used without being installed
        return ""


def _states(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    """Role, case, place, size and time of change of every file."""
    yield (inputs.consensus,)
    roles = {"reference": inputs.references or {}, "image": inputs.images}
    roles["vessel"] = inputs.vessels
    roles |= {f"method {name}": files for name, files in inputs.methods.items()}
    roles |= {f"rater {name}": files for name, files in inputs.raters.items()}
    for role, files in roles.items():
        for case, path in sorted(files.items()):
            yield (role, case, *_state(path))
    for method, listed in inputs.probabilities.items():
        for case, paths in sorted(listed.items()):
            for path in paths:
                yield (f"probabilities {method}", case, *_state(path))


def _state(path: Path) -> tuple[str, ...]:
    try:
        status = path.stat()
    except OSError:
        return (str(path),)
    return (str(path.resolve()), str(status.st_size), str(status.st_mtime_ns))
