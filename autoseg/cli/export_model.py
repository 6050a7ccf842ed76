"""autoseg_export: our models for other programs."""

from __future__ import annotations

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "export",
        "Write a model for nnU-Net v2, as ONNX, or as torch's ExportedProgram.",
        "autoseg_export nnunet work/hippocampus/runs/3d_fullres -o for_nnunet",
    )
    parser.add_argument(
        "kind", choices=("nnunet", "onnx", "program"), help="what the model is written for"
    )
    parser.add_argument("model", metavar="MODEL", help="checkpoint, run folder or workspace")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="folder; a file for onnx and program"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg import pipeline

        notes = pipeline.export_model(
            arguments.kind, arguments.model, arguments.output, overwrite=arguments.overwrite
        )
        shell.show([f"Written to {arguments.output}.", *notes])

    return shell.execute(action)
