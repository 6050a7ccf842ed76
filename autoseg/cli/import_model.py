"""autoseg_import: other programs' models as ours."""

from __future__ import annotations

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "import",
        "Turn a model that nnU-Net trained into one of ours.",
        "autoseg_import nnunet nnUNetTrainer__nnUNetPlans__3d_fullres -o models/hippocampus",
    )
    parser.add_argument("kind", choices=("nnunet",), help="program that trained the model")
    parser.add_argument("source", metavar="MODEL", help="result folder, or a zip of one")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="folder to write")
    parser.add_argument(
        "--configuration", metavar="NAME", help="which one, where there are several"
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="the model's orientation and label names, such as cads:551 or totalsegmentator:291",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace models that are there")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg import pipeline

        found = pipeline.import_model(
            arguments.source,
            arguments.output,
            configuration=arguments.configuration,
            recipe=arguments.recipe,
            overwrite=arguments.overwrite,
        )
        shell.show([f"{len(found)} models are in {arguments.output}."])

    return shell.execute(action)
