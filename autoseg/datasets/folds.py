"""Folds: disjoint, grouped by patient, stratified by the classes that a case has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autoseg.errors import InputError, UsageError

MIN_FOLDS = 2


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Cases of one fold."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def make_folds(
    presence: Mapping[str, Sequence[str]],
    groups: Mapping[str, str],
    *,
    num_folds: int,
    seed: int,
) -> tuple[Fold, ...]:
    """Deals groups out to folds so that every class is spread evenly.

    Groups with rare classes are dealt first, each to the fold that lacks its classes most.

    Args:
        presence: Case → classes that it has.
        groups: Case → group.
        num_folds: Number of folds.
        seed: Breaks ties.

    Raises:
        InputError: There are fewer groups than folds.
        UsageError: There is to be one fold, or less.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for case in sorted(presence):
        members[groups[case]].append(case)
    if num_folds < MIN_FOLDS:
        raise UsageError(f"--num-folds {num_folds}: at least {MIN_FOLDS} are needed.")
    if len(members) < num_folds:
        raise InputError(
            f"{len(presence)} cases in {len(members)} groups are too few cases for {num_folds} "
            "folds."
        )
    counts = {
        name: Counter(c for case in cases for c in presence[case])
        for name, cases in members.items()
    }
    total: Counter[str] = Counter()
    for count in counts.values():
        total.update(count)
    names = sorted(members)
    np.random.default_rng(seed).shuffle(names)

    def rarity(name: str) -> tuple[float, int]:
        rare = min((total[item] for item in counts[name]), default=len(presence) + 1)
        return rare, -len(members[name])

    have: list[Counter[str]] = [Counter() for _ in range(num_folds)]
    sizes = [0] * num_folds
    groups_in = [0] * num_folds
    dealt: list[list[str]] = [[] for _ in range(num_folds)]
    for name in sorted(names, key=rarity):
        rarest = sorted(counts[name], key=lambda item: total[item])

        def need(fold: int, rarest: list[str] = rarest) -> tuple[float, ...]:
            return (sizes[fold], *(have[fold][item] for item in rarest), groups_in[fold])

        fold = min(range(num_folds), key=need)
        dealt[fold].extend(members[name])
        have[fold].update(counts[name])
        sizes[fold] += len(members[name])
        groups_in[fold] += 1
    everything = sorted(presence)
    return tuple(
        Fold(
            train=tuple(case for case in everything if case not in set(val)),
            val=tuple(sorted(val)),
        )
        for val in dealt
    )
