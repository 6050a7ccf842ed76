"""A picture of predictions: the image with the outlines of reference and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoseg.schema.serialise import atomic_path

COLUMNS = 4


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One case of the picture.

    Attributes:
        title: Case and score.
        image: [z, y, x] first channel.
        reference: [z, y, x] labels.
        prediction: [z, y, x] labels.
    """

    title: str
    image: npt.NDArray[np.generic]
    reference: npt.NDArray[np.integer]
    prediction: npt.NDArray[np.integer]


def draw_overlays(path: Path, panels: Sequence[Panel]) -> None:
    """Draws the slice with most foreground of every case as PNG.

    Args:
        path: Target.
        panels: Cases, at least one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        slice_index = _busiest_slice(panel)
        image = panel.image[slice_index].astype(float)
        low, high = np.percentile(image, [1, 99])
        axis.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        _outline(axis, panel.reference[slice_index], "lime", "solid")
        _outline(axis, panel.prediction[slice_index], "red", "dashed")
        axis.set_title(panel.title, fontsize=8)
    figure.legend(
        handles=[
            Line2D([], [], color="lime", label="reference"),
            Line2D([], [], color="red", linestyle="dashed", label="prediction"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _busiest_slice(panel: Panel) -> int:
    count = (panel.reference > 0).sum(axis=(1, 2)) + (panel.prediction > 0).sum(axis=(1, 2))
    return int(count.argmax()) if count.any() else len(count) // 2


def _outline(axis, labels: npt.NDArray[np.integer], color: str, style: str) -> None:  # type: ignore[no-untyped-def]
    for value in np.unique(labels):
        mask = labels == value
        if value and min(mask.shape) > 1 and not mask.all():
            axis.contour(mask, levels=[0.5], colors=color, linewidths=0.9, linestyles=style)
