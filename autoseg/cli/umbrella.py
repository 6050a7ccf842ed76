"""autoseg: `autoseg VERB …` is `autoseg_VERB …`."""

from __future__ import annotations

import sys
from importlib import import_module

VERBS = {
    "plan": "check and measure a data set, plan, make folds, preprocess",
    "train": "train one network of a plan",
    "validate": "predict and score the validation cases of a trained fold",
    "predict": "predict images with one or several models",
    "evaluate": "score label maps against references",
    "import": "turn a model of nnU-Net into one of ours",
    "export": "write a model for nnU-Net, ONNX or torch.export",
    "run": "all of it, from a data set to scores",
    "demo": "all of it on a small data set that it makes itself",
}

MODULES = {"import": "import_model", "export": "export_model"}
"""Verbs whose modules have another name."""


def main(argv: list[str] | None = None) -> int:
    """Calls the command of a verb."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, VERBS))
        print("usage: autoseg VERB …     (autoseg VERB --help tells more)\n")
        for verb, what in VERBS.items():
            print(f"  {verb:<{width}}  {what}")
        print("\nexample:\n  autoseg run Dataset004_Hippocampus --workspace work --time-budget 10m")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from autoseg.version import __version__

        print(f"autoseg {__version__}")
        return 0
    if arguments[0] not in VERBS:
        known = ", ".join(VERBS)
        print(f"error: unknown verb '{arguments[0]}'. Known: {known}.", file=sys.stderr)
        return 2
    module = MODULES.get(arguments[0], arguments[0])
    command = import_module(f"autoseg.cli.{module}")
    result: int = command.main(arguments[1:])
    return result
