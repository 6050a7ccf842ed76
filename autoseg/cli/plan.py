"""autoseg_plan: check and measure a data set, plan, make folds, preprocess."""

from __future__ import annotations

from pathlib import Path

from autoseg.cli import shell


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = shell.parser(
        "plan",
        "Check and measure a data set, plan networks for it, make folds and preprocess the cases.",
        "autoseg_plan Dataset004_Hippocampus --workspace work/hippocampus --time-budget 10m",
    )
    shell.add_planning(parser)
    parser.add_argument(
        "--configurations",
        nargs="+",
        default=(),
        metavar="NAME",
        help="2d, 2.5d, 3d_fullres, 3d_lowres, 3d_cascade_fullres, multipath_2.5d; with a plane "
        "(2.5d_coronal) or an architecture (3d_fullres_swin_unetr, _dformer, _primus, or one of a "
        "plug-in); all plans everything that fits (default: 2d, 3d_fullres and, where a patch "
        "sees too little of a case, the cascade)",
    )
    parser.add_argument(
        "--list-recipes", action=shell.ListRecipes, help="list the recipes and exit"
    )
    shell.add_num_folds(parser, "--folds")
    parser.add_argument(
        "--no-preprocess", action="store_true", help="only plan; training preprocesses then"
    )
    arguments = parser.parse_args(argv)

    def action() -> None:
        from autoseg.parallel import warm_up

        warm_up()
        from autoseg import pipeline

        pipeline.plan(
            arguments.dataset,
            arguments.workspace,
            preprocess=not arguments.no_preprocess,
            workers=arguments.workers,
            **shell.plan_options(arguments),
        )
        workspace = Path(arguments.workspace)
        shell.show(
            [f"The plan is in {workspace / 'plan.yaml'}, its reasons in {workspace / 'plan.md'}."]
        )

    return shell.execute(action, goes_on=shell.SAME)
