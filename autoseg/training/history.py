"""What happened in every epoch: a CSV table and a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from autoseg.schema.epoch import Epoch
from autoseg.schema.serialise import atomic_path, write_text


def write_csv(path: Path, history: Sequence[Epoch], class_names: Sequence[str]) -> None:
    """Writes one row per epoch."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["epoch", "step", "elapsed_s", "learning_rate", "train_loss", "val_loss", "val_dice_mean"]
        + [f"val_dice_{name}" for name in class_names]
    )
    for row in history:
        writer.writerow(
            [
                row.epoch,
                row.step,
                f"{row.elapsed_s:.2f}",
                f"{row.learning_rate:.4g}",
                f"{row.train_loss:.5f}",
                f"{row.val_loss:.5f}",
                *(
                    "" if value is None else f"{value:.5f}"
                    for value in (row.mean_dice, *row.val_dice)
                ),
            ]
        )
    write_text(path, stream.getvalue())


def plot(path: Path, history: Sequence[Epoch], class_names: Sequence[str]) -> None:
    """Draws loss, Dice and learning rate over the steps as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [row.step for row in history]
    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    losses, dice, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1))
    losses.plot(steps, [row.train_loss for row in history], label="training")
    losses.plot(steps, [row.val_loss for row in history], label="validation")
    losses.set_ylabel("loss")
    losses.legend()
    if len(class_names) <= 8:
        for index, name in enumerate(class_names):
            values = [
                float("nan") if row.val_dice[index] is None else row.val_dice[index]
                for row in history
            ]
            dice.plot(steps, values, linewidth=0.8, label=name)
    means = [float("nan") if row.mean_dice is None else row.mean_dice for row in history]
    dice.plot(steps, means, color="black", label="mean")
    dice.set_ylabel("Dice of validation patches")
    dice.set_ylim(0, 1)
    dice.legend(loc="lower right", fontsize="small")
    rate.plot(steps, [row.learning_rate for row in history])
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
