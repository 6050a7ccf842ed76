"""autoseg_run: from a data set to scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autoseg.cli import shell

if TYPE_CHECKING:
    from evaluation import Summary


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "run",
        "Plan, preprocess, train, predict the validation cases and score them. "
        "The same command goes on after an interruption.",
        "autoseg run Dataset004_Hippocampus --workspace work/hippocampus --time-budget 10m",
    )
    shell.add_planning(parser)
    parser.add_argument(
        "--configuration",
        metavar="NAME",
        help="which one to train (default: 3d_fullres, 2d for 2D images)",
    )
    parser.add_argument(
        "--folds",
        nargs="+",
        type=shell.fold,
        metavar="FOLD",
        help="folds to train (default: 0; all where there are too few cases to leave any out)",
    )
    shell.add_num_folds(parser)
    parser.add_argument("--epochs", type=shell.positive, metavar="N", help="fixed number of epochs")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg.parallel import warm_up

        warm_up()
        from autoseg import pipeline

        summaries = pipeline.run(
            arguments.dataset,
            arguments.workspace,
            configuration=arguments.configuration,
            folds=arguments.folds,
            epochs=arguments.epochs,
            workers=arguments.workers,
            **shell.plan_options(arguments),
        )
        show_result(Path(arguments.workspace), summaries)

    return shell.execute(action, goes_on=shell.SAME)


def show_result(workspace: Path, summaries: Mapping[Path, Summary | None]) -> None:
    """Prints the scores and where everything is."""
    for folder, summary in summaries.items():
        name = f"{folder.parent.name}, {folder.name.replace('_', ' ')}"
        if summary is None:
            shell.show([f"{name} has learnt from all cases; nothing is left to validate.", ""])
        else:
            shell.show([f"Validation cases of {name}:", summary.table(), ""])
    scored = [folder for folder, summary in summaries.items() if summary is not None]
    shell.show(
        [
            f"Workspace          {workspace}",
            f"Plan and reasons   {workspace / 'plan.md'}",
            *(f"Model              {folder / 'checkpoint_final.pt'}" for folder in summaries),
            *(f"Scores, pictures   {folder / 'validation'}" for folder in scored),
            f"Predict images     autoseg_predict {workspace} -i IMAGES -o PREDICTIONS",
        ]
    )
