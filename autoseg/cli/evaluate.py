"""autoseg_evaluate: score label maps and probabilities against references or raters."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoseg.cli import shell

if TYPE_CHECKING:
    from evaluation import Summary

COLUMNS = 7
"""Metrics that a terminal has room for."""


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = _parser()
    arguments = _with_folders(parser.parse_args(argv))
    if arguments.list_metrics or arguments.list_profiles:
        return shell.execute(lambda: _list(arguments))
    if arguments.reference is None or not arguments.prediction:
        parser.error(
            "the following arguments are required: REFERENCE, PREDICTION. Put them first, or -- "
            "between them and an option that takes several values"
        )
    return shell.execute(lambda: _evaluate(arguments))


def _with_folders(arguments: argparse.Namespace) -> argparse.Namespace:
    """Gives back the folders that an option of several values has swallowed.

    Of folders of raters that is known where the first one holds all of them.
    """
    for option in (arguments.metrics, arguments.tolerance, arguments.lesion_sizes):
        _give_back(arguments, option, lambda values: _is_place(values[-1]))
    _give_back(arguments, arguments.raters, lambda values: len(values) > 1 and _holds_all(values))
    return arguments


def _give_back(
    arguments: argparse.Namespace, values: list[str], is_swallowed: Callable[[list[str]], bool]
) -> None:
    """Makes the last values REFERENCE and PREDICTION, where no folders were given."""
    swallowed: list[str] = []
    while values and not arguments.prediction and is_swallowed(values):
        swallowed.insert(0, values.pop())
    if swallowed:
        places = [*([arguments.reference] if arguments.reference else []), *swallowed]
        arguments.reference, arguments.prediction = places[0], places[1:]


def _is_place(text: str) -> bool:
    return Path(text).exists() or text in ("majority", "staple")


def _holds_all(folders: list[str]) -> bool:
    from evaluation.scoring.inputs import rater_folders

    first = Path(folders[0])
    return rater_folders([first]) != [first]


def _parser() -> argparse.ArgumentParser:
    parser = shell.parser(
        "evaluate",
        "Score label maps against references; files belong together by name.",
        "autoseg_evaluate labelsTr predictions --labels dataset.json -o scores\n"
        "  autoseg_evaluate staple predictions --raters ratersTr --metrics dice_per_rater ged\n"
        "  autoseg_evaluate labelsTr predictions --raters ratersTr --probabilities predictions",
    )
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        nargs="?",
        help="folder or file; 'majority' or 'staple' makes it from --raters",
    )
    parser.add_argument(
        "prediction", metavar="PREDICTION", nargs="*", help="folder or file; several are compared"
    )
    parser.add_argument("-o", "--output", metavar="OUT", help="folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument(
        "--labels",
        metavar="JSON",
        help="dataset.json that names the classes (default: one beside REFERENCE, or all values)",
    )
    parser.add_argument("--profile", metavar="NAME", help="score as a challenge does")
    parser.add_argument(
        "--mode",
        choices=("official", "exact"),
        default="official",
        help="of the profile: bug for bug (default), or without the official program's bugs",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=[],
        metavar="NAME",
        help="such as dice hd95 hd95:medpy nsd:2mm",
    )
    parser.add_argument(
        "--tolerance",
        nargs="+",
        metavar="MM",
        default=["1.0"],
        help="of the surface Dice in mm; CLASS=MM for single classes (default: 1.0)",
    )
    parser.add_argument(
        "--surface", metavar="NAME", default="deepmind", help="whose surface distances (deepmind)"
    )
    policy = "nan, worst, best, inf, official or a number"
    parser.add_argument("--both-empty", metavar="POLICY", default="nan", help=f"{policy} (nan)")
    parser.add_argument("--one-empty", metavar="POLICY", default="worst", help=f"{policy} (worst)")
    parser.add_argument("--connectivity", type=int, default=26, help="of lesions: 6, 18 or 26")
    parser.add_argument(
        "--lesion-iou", type=float, metavar="IOU", help="IoU at which lesions match"
    )
    parser.add_argument(
        "--lesion-sizes",
        nargs="+",
        default=[],
        metavar="ML",
        help="part lesions by size",
    )
    parser.add_argument(
        "--raters",
        nargs="+",
        default=[],
        metavar="DIR",
        help="one folder per rater, or the one that holds them",
    )
    parser.add_argument(
        "--probabilities", nargs="+", default=[], metavar="DIR", help="one folder per PREDICTION"
    )
    parser.add_argument("--bins", type=int, default=15, help="of calibration errors (15)")
    parser.add_argument("--images", metavar="DIR", help="images, for profiles that crop to them")
    parser.add_argument("--vessels", metavar="DIR", help="vessel maps (curvas_pdacvi2025)")
    parser.add_argument("--seed", type=int, default=0, help="of bootstrap and permutations (0)")
    parser.add_argument("--list-metrics", action="store_true", help="list the metrics")
    parser.add_argument("--list-profiles", action="store_true", help="list the challenges")
    shell.add_workers(parser, "threads")
    return parser


def _list(arguments: argparse.Namespace) -> None:
    from evaluation import METRICS, PROFILES

    if arguments.list_metrics:
        width = max(len(name) for name in METRICS)
        shell.show(
            [
                f"{name:<{width}}  {metric.title} ({metric.needs})"
                for name, metric in METRICS.items()
            ]
        )
    if arguments.list_profiles:
        width = max(len(name) for name in PROFILES)
        shell.show([f"{name:<{width}}  {profile.title}" for name, profile in PROFILES.items()])


def _evaluate(arguments: argparse.Namespace) -> None:
    from autoseg import pipeline
    from evaluation import Settings

    general, single = _tolerances(arguments.tolerance)
    settings: dict[str, Any] = {
        "tolerance_mm": general,
        "tolerances_mm": single,
        "surface": arguments.surface,
        "both_empty": arguments.both_empty,
        "one_empty": arguments.one_empty,
        "connectivity": arguments.connectivity,
        "lesion_iou": arguments.lesion_iou,
        "num_bins": arguments.bins,
    }
    summary = pipeline.evaluate(
        arguments.reference,
        arguments.prediction,
        labels=arguments.labels,
        output=arguments.output,
        overwrite=arguments.overwrite,
        metrics=arguments.metrics or None,
        lesion_sizes_ml=_sizes(arguments.lesion_sizes),
        settings=Settings(**settings),
        raters=arguments.raters,
        probabilities=arguments.probabilities,
        profile=arguments.profile,
        mode=arguments.mode,
        images=arguments.images,
        vessels=arguments.vessels,
        seed=arguments.seed,
        workers=arguments.workers,
    )
    for method in summary.methods:
        head = [shell.printable(f"{method}:")] if method else []
        shell.show([*head, *_tables(summary, method, arguments)])
    for title, names in (
        ("predictions are missing and count as worst", summary.missing),
        ("predictions have no reference", summary.surplus),
    ):
        if names:
            shell.show([shell.printable(f"{len(names)} {title}: {', '.join(names[:5])}.")])
    shell.show([shell.printable(f"note: {note}") for note in summary.notes])
    if arguments.output:
        shell.show([f"Everything is in {arguments.output}."])


def _tables(summary: Summary, method: str, arguments: argparse.Namespace) -> list[str]:
    """Means per class: of all metrics that were asked for by name, else of the first ones."""
    if not arguments.metrics:
        return [summary.table(method)]
    names = [name for name in summary.metrics if summary.labels_of(name, method)]
    return [
        summary.table(method, names[first : first + COLUMNS])
        for first in range(0, len(names), COLUMNS)
    ]


def _sizes(texts: list[str]) -> list[float]:
    from evaluation import EvaluationError

    try:
        return [float(text) for text in texts]
    except ValueError:
        raise EvaluationError(f"Lesion sizes {' '.join(texts)}: expected volumes in ml.") from None


def _tolerances(texts: list[str]) -> tuple[float, dict[str, float]]:
    from evaluation import EvaluationError

    general, single = 1.0, {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise EvaluationError(f"Tolerance '{text}': expected MM or CLASS=MM.") from None
        if name:
            single[name] = value
        else:
            general = value
    return general, single
