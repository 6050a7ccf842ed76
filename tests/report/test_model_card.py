from __future__ import annotations

from dataclasses import replace

import pytest

from autoseg.report.model_card import write_card
from tests.inference.test_predictor import model


@pytest.mark.parametrize(
    ("changes", "spacing", "patch", "mirrored"),
    [
        # The y axis comes first: the network's axes are y, z, x.
        ({"patch_size": (8, 16, 32)}, "5 × 2 × 1 (y, z, x)", "8 × 16 × 32 (y, z, x)", "y, x"),
        # Slices along the network's second axis: a patch has its first and third, y and x.
        (
            {"patch_size": (8, 32), "slice_axis": 1, "spacing_mm": (5.0, None, 1.0)},
            "5 × as it is × 1 (y, z, x)",
            "8 × 32 (y, x)",
            "y",
        ),
    ],
)
def test_axes_have_their_names_in_the_image(tmp_path, changes, spacing, patch, mirrored):
    made = model()
    training = made.configuration.training
    axes = (0,) if mirrored == "y" else (0, 2)
    item = replace(
        made.configuration,
        **{"transpose": (1, 0, 2), "spacing_mm": (5.0, 2.0, 1.0), **changes},
        training=replace(training, mirror_axes=axes),
    )
    write_card(tmp_path / "card.md", replace(made, configuration=item))
    card = (tmp_path / "card.md").read_text()
    assert f"| spacing (mm) | {spacing} |" in card
    assert f"| patch | {patch} |" in card
    assert f"| mirrored axes | {mirrored} |" in card
