"""ISLES from files."""

from __future__ import annotations

import evaluation


def test_isles_counts_lesions(kidneys):
    summary = evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="isles22")
    assert summary.mean("lesion_f1") == 1
    atlas = evaluation.evaluate_folders(kidneys / "ref", kidneys / "good", profile="isles22_atlas")
    assert (
        any("several times" in note for note in atlas.notes) or atlas.mean("voxel_difference") == 0
    )
