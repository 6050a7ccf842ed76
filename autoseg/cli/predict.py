"""autoseg_predict: predict images with one or several models."""

from __future__ import annotations

import argparse

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "predict",
        "Predict images with the average of one or several models.",
        "autoseg_predict work/hippocampus -i imagesTs -o predictions",
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="checkpoint files, run folders or workspaces"
    )
    parser.add_argument("-i", "--input", required=True, metavar="INPUT", help="folder or image")
    parser.add_argument("-o", "--output", required=True, metavar="OUTPUT", help="folder or file")
    parser.add_argument(
        "--save-probabilities", action="store_true", help="also write probabilities (.npz, float16)"
    )
    parser.add_argument(
        "--tta",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="average over mirrored images, along the plan's axes only",
    )
    parser.add_argument(
        "--step", type=float, default=0.5, help="distance of tiles as a share of a tile"
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip cases whose files are all there"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what the process may take, such as 4GB; changes no result (default: what is free)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "mixed", "fastest"),
        default="auto",
        help="auto: float32 on CPUs, half precision on GPUs; fastest: measure once, remember",
    )
    parser.add_argument(
        "--roi",
        type=lambda text: [name for name in text.split(",") if name],
        default=[],
        metavar="LABELS",
        help="only predict the box around these labels, which --roi-model finds; commas between",
    )
    parser.add_argument("--roi-model", metavar="MODEL", help="a coarse model that finds --roi")
    parser.add_argument(
        "--roi-margin", type=float, default=20.0, metavar="MM", help="margin (default: 20)"
    )
    shell.add_device(parser)
    shell.add_workers(parser, "threads that read ahead")
    arguments = parser.parse_args(argv)

    def action() -> int:
        from autoseg import pipeline

        report = pipeline.predict(
            arguments.models,
            arguments.input,
            arguments.output,
            save_probabilities=arguments.save_probabilities,
            mirroring=arguments.tta,
            step=arguments.step,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            device=arguments.device,
            workers=arguments.workers,
            memory=arguments.memory,
            precision=arguments.precision,
            roi=arguments.roi,
            roi_model=arguments.roi_model,
            roi_margin_mm=arguments.roi_margin,
        )
        skipped = f", {len(report.skipped)} were there" if report.skipped else ""
        shell.show([f"{len(report.written)} cases are in {arguments.output}{skipped}."])
        return 1 if report.failed else 0

    return shell.execute(action, goes_on=shell.RESUME)
