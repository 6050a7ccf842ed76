"""autoseg_train: train one network of a plan."""

from __future__ import annotations

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "train",
        "Train one network of a plan.",
        "autoseg_train work/hippocampus 3d_fullres 0 --time-budget 10m",
    )
    parser.add_argument("workspace", metavar="WS", help="folder that autoseg_plan made")
    shell.add_configuration(parser)
    parser.add_argument(
        "fold",
        type=shell.fold,
        metavar="FOLD",
        help="number of the fold, or all: one network on all cases",
    )
    parser.add_argument("--resume", action="store_true", help="go on after an interruption")
    parser.add_argument("--overwrite", action="store_true", help="throw an earlier run away")
    parser.add_argument("--time-budget", metavar="10m", help="time of the training")
    parser.add_argument("--epochs", type=shell.positive, metavar="N", help="fixed number of epochs")
    shell.add_device(parser)
    shell.add_workers(
        parser, "threads or processes that make batches", "none on a CPU, up to 8 beside a GPU"
    )
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg import pipeline
        from autoseg.workspace import Workspace

        pipeline.train(
            arguments.workspace,
            arguments.configuration,
            arguments.fold,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            time_budget=arguments.time_budget,
            epochs=arguments.epochs,
            device=arguments.device,
            workers=arguments.workers,
        )
        from pathlib import Path

        run = Workspace(Path(arguments.workspace)).run(arguments.configuration, arguments.fold)
        shell.show([f"The model is {run.final}."])

    return shell.execute(action, goes_on=shell.RESUME)
