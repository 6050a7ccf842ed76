"""What all commands share: exit codes, the console, and arguments that several take."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from autoseg.errors import AutosegError
from autoseg.schema.plan_request import OPTION_NAMES, PlanOptions

INTERRUPTED, TERMINATED = 130, 143
SAME = "the same command goes on"
RESUME = "the same command with --resume goes on"


def parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """Makes a parser whose help ends with an example."""
    return argparse.ArgumentParser(
        prog=f"autoseg_{name}" if name else "autoseg",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_device(to: argparse.ArgumentParser) -> None:
    """Adds --device."""
    to.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps"),
        help="where to compute; auto takes a GPU where there is one (default: auto)",
    )


def add_workers(to: argparse.ArgumentParser, what: str, usual: str = "one per processor") -> None:
    """Adds --workers."""
    to.add_argument("--workers", type=positive, metavar="N", help=f"{what} (default: {usual})")


def add_configuration(to: argparse.ArgumentParser) -> None:
    """Adds the name of a configuration."""
    to.add_argument(
        "configuration", metavar="CONFIGURATION", help="its name in the plan, such as 3d_fullres"
    )


def add_planning(to: argparse.ArgumentParser) -> None:
    """Adds the options of the planner that `plan` and `run` share."""
    to.add_argument(
        "dataset", metavar="DATASET", help="folder with dataset.json, imagesTr, labelsTr"
    )
    to.add_argument("--workspace", required=True, metavar="WS", help="folder to work in")
    to.add_argument(
        "--planner", default="auto", help="auto (fits memory and time) or nnunet (default: auto)"
    )
    to.add_argument(
        "--network", metavar="NAME", help="plain, M, L or XL (default: the planner chooses)"
    )
    add_device(to)
    to.add_argument("--memory", metavar="8GB", help="memory of a training (default: what is free)")
    to.add_argument(
        "--time-budget", metavar="10m", help="time of one training (default: nnU-Net's schedule)"
    )
    to.add_argument(
        "--group-pattern",
        metavar="REGEX",
        help="finds the patient in a case name; cases of a patient stay in one fold",
    )
    to.add_argument("--groups", metavar="CSV", help="table with the columns case and group")
    to.add_argument(
        "--recipe",
        metavar="NAME",
        help="what is known about a data set, such as kits23 or cads:551 "
        "(autoseg_plan --list-recipes)",
    )
    to.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    for part, example in (
        ("loss", "dice_cross_entropy"),
        ("augmentation", "standard"),
        ("schedule", "poly"),
    ):
        to.add_argument(
            f"--{part}",
            metavar="NAME",
            help=f"{part} by name, such as {example} or one of a plug-in "
            "(default: the planner chooses)",
        )
    add_workers(to, "processes")


def add_num_folds(to: argparse.ArgumentParser, *other_names: str) -> None:
    """Adds the number of folds, which has the same name wherever it is asked for."""
    to.add_argument(
        "--num-folds",
        *other_names,
        type=int,
        metavar="N",
        help="folds to make (default: 5, one per patient where there are fewer, or those given)",
    )


def plan_options(arguments: argparse.Namespace) -> PlanOptions:
    """The options of planning that a command has."""
    given = {name: value for name, value in vars(arguments).items() if name in OPTION_NAMES}
    return cast(PlanOptions, given)


class ListRecipes(argparse.Action):
    """Prints the recipes and ends the command, like --help."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Prints a line per recipe."""
        from autoseg.datasets.recipes import list_recipes

        recipes = list_recipes()
        width = max(len(name) for name, _ in recipes)
        show([f"{name:<{width}}  {description}" for name, description in recipes])
        parser.exit()


def positive(text: str) -> int:
    """Argument type: an integer above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def fold(text: str) -> int | str:
    """Argument type: the number of a fold, or "all"."""
    if text == "all":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no fold: a number, or all") from None


def execute(action: Callable[[], int | None], *, goes_on: str = "") -> int:
    """Runs a command's action; what a user did wrong becomes lines on stderr and an exit code.

    Args:
        action: The command; returns its exit code, None for 0.
        goes_on: What an interrupted user is told, such as "the same command goes on".
    """
    from autoseg.runlog import ConsoleHandler

    _prepare_streams()
    # Programs that are started from here import nothing from the working directory.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("autoseg")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with _terminated_as_interrupted():
            code = action() or 0
        sys.stdout.flush()
        return code
    except _users_faults() as error:
        complain(str(error))
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt as interruption:
        complain(f"interrupted{goes_on and '; ' + goes_on}", prefix="")
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for what is printed at exit
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}.")
        return 1
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which cleans up as Ctrl-C does."""


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def end(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _prepare_streams() -> None:
    """Makes output possible on terminals of any encoding, and where it was closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(text: str, *, prefix: str = "error: ") -> None:
    """Prints a message on stderr, a line each; control characters of names are made visible."""
    for line in text.splitlines():
        with contextlib.suppress(OSError):  # stderr was closed
            print(f"{prefix}{printable(line)}", file=sys.stderr)


def printable(text: str) -> str:
    """Text without control characters, which could change or forge a terminal's lines."""
    return "".join(
        letter
        if letter.isprintable() or letter == "\t"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _users_faults() -> tuple[type[Exception], ...]:
    """Errors that are told without a traceback; the judge's where a command imported it."""
    judge = sys.modules.get("evaluation.errors")
    return (AutosegError,) if judge is None else (AutosegError, judge.EvaluationError)


def show(lines: Sequence[str]) -> None:
    """Prints a command's result on stdout."""
    for text in lines:
        for line in text.split("\n"):
            print(printable(line))
