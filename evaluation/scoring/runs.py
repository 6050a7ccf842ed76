"""Scores the cases of an evaluation, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

from evaluation.errors import EvaluationError
from evaluation.scoring.case import (
    CaseFiles,
)
from evaluation.summary import Score


def run_cases(
    cases: Sequence[CaseFiles],
    steps: int,
    workers: int,
    score: Callable[[CaseFiles, Executor | None, Callable[[], Any]], list[Score]],
) -> list[list[Score]]:
    """Scores the cases, some at a time; with fewer cases than threads their classes are shared."""
    faults: list[str] = []
    total = len(cases) * steps
    with (
        tqdm(total=total, desc="Evaluating", unit="class", disable=None) as bar,
        ThreadPoolExecutor(max(1, workers)) as classes,
        ThreadPoolExecutor(max(1, workers)) as pool,
    ):
        inner = classes if len(cases) < workers else None

        def work(files: CaseFiles) -> list[Score]:
            try:
                return score(files, inner, bar.update)
            except EvaluationError as error:
                faults.append(str(error))
                return []

        parts = list(pool.map(work, cases))
    if faults:
        raise EvaluationError(*sorted(faults))
    return parts
