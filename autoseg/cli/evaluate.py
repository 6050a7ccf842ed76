"""autoseg_evaluate: score label maps against references."""

from __future__ import annotations

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "evaluate",
        "Score label maps against references; files belong together by name.",
        "autoseg_evaluate labelsTr predictions --labels dataset.json -o summary.json",
    )
    parser.add_argument("reference", metavar="REFERENCE", help="folder or file")
    parser.add_argument("prediction", metavar="PREDICTION", help="folder or file")
    parser.add_argument(
        "--labels",
        metavar="JSON",
        help="dataset.json that names the classes (default: one beside REFERENCE, or all values)",
    )
    parser.add_argument("-o", "--output", metavar="JSON", help="summary to write, with a CSV")
    shell.add_workers(parser, "threads")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg import pipeline

        summary = pipeline.evaluate(
            arguments.reference,
            arguments.prediction,
            labels=arguments.labels,
            output=arguments.output,
            workers=arguments.workers,
        )
        shell.show([summary.table()])
        if summary.missing:
            listed = ", ".join(summary.missing[:5])
            shell.show(
                [f"{len(summary.missing)} predictions are missing and count as empty: {listed}."]
            )
        if summary.surplus:
            listed = ", ".join(summary.surplus[:5])
            shell.show([f"{len(summary.surplus)} predictions have no reference: {listed}."])

    return shell.execute(action)
