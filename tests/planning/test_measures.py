from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autoseg.datasets.fingerprint import make_fingerprint
from autoseg.datasets.folder import read_dataset
from autoseg.planning.measures import measures_of, stored_bytes
from tests.conftest import make_configuration


def test_a_stored_case_takes_a_byte_per_voxel_and_rater(tiny_dataset):
    dataset = read_dataset(tiny_dataset)[0]
    fingerprint = make_fingerprint(dataset, workers=1)
    outlined = replace(
        dataset.cases[1], label=None, raters={name: Path(name) for name in ("a", "b", "c")}
    )
    dataset = replace(dataset, cases=(dataset.cases[0], outlined, *dataset.cases[2:]))
    measures = measures_of(dataset, fingerprint, None)
    sizes = stored_bytes(measures, make_configuration())
    voxels = 16 * 24 * 20  # the spacing is the configuration's
    assert sizes == [voxels * 5, voxels * 7, *[voxels * 5] * 4]
