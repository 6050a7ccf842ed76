"""autoseg_demo: make a small synthetic data set, then do everything on it."""

from __future__ import annotations

from pathlib import Path

from autoseg.cli import shell
from autoseg.cli.run import show_result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "demo",
        "Make a small synthetic data set, then plan, train, predict and score on it.",
        "autoseg demo --time-budget 2m",
    )
    parser.add_argument("--time-budget", default="2m", metavar="2m", help="time of the training")
    parser.add_argument(
        "--folder", default="autoseg_demo", metavar="DIR", help="where (default: autoseg_demo)"
    )
    shell.add_device(parser)
    shell.add_workers(parser, "processes")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg.parallel import warm_up

        warm_up()
        from autoseg import pipeline

        folder = Path(arguments.folder)
        summaries = pipeline.demo(
            folder,
            time_budget=arguments.time_budget,
            device=arguments.device,
            workers=arguments.workers,
        )
        show_result(folder / "workspace", summaries)

    return shell.execute(action, goes_on=shell.SAME)
