"""autoseg_validate: predict and score the validation cases of a trained fold."""

from __future__ import annotations

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "validate",
        "Predict the validation cases of a trained fold, score them and draw some of them.",
        "autoseg_validate work/hippocampus 3d_fullres 0",
    )
    parser.add_argument("workspace", metavar="WS", help="folder that autoseg_plan made")
    shell.add_configuration(parser)
    parser.add_argument("fold", type=shell.fold, metavar="FOLD", help="number of the fold")
    shell.add_device(parser)
    shell.add_workers(parser, "threads that read ahead")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from pathlib import Path

        from autoseg import pipeline
        from autoseg.workspace import Workspace

        summary = pipeline.validate(
            arguments.workspace,
            arguments.configuration,
            arguments.fold,
            device=arguments.device,
            workers=arguments.workers,
        )
        run = Workspace(Path(arguments.workspace)).run(arguments.configuration, arguments.fold)
        shell.show([summary.table(), f"Everything is in {run.validation}."])

    return shell.execute(action, goes_on=shell.SAME)
