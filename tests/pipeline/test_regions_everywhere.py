"""Nested regions and an ignore label through the whole chain, for every kind of configuration."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg import pipeline
from autoseg.images.files import read_image
from autoseg.planned import load_plan
from autoseg.schema.plan import PreviousStage
from autoseg.workspace import Workspace
from tests.conftest import write_dataset
from tests.pipeline.test_previous_stages import edit_plan, small

IGNORED = 9
NAMES = (
    "2d",
    "2.5d",
    "3d_fullres",
    "3d_fullres_swin_unetr",
    "3d_fullres_dformer",
    "3d_fullres_primus",
    "3d_cascade_fullres",
    "multipath_2.5d",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Organ with vessel as nested regions, and a slab that nobody labelled."""
    root = tmp_path_factory.mktemp("regions")
    data = write_dataset(root / "Dataset001_Regions", num_cases=6, shape=(16, 20, 18))
    description = json.loads((data / "dataset.json").read_text())
    description["labels"] = {
        "background": 0,
        "organ": [1, 2],
        "vessel": 2,
        "ignore": IGNORED,
    }
    description["regions_class_order"] = [1, 2]
    (data / "dataset.json").write_text(json.dumps(description))
    for path in sorted((data / "labelsTr").iterdir()):
        image = sitk.ReadImage(str(path))
        array = sitk.GetArrayFromImage(image)
        array[:4] = IGNORED
        changed = sitk.GetImageFromArray(array)
        changed.CopyInformation(image)
        sitk.WriteImage(changed, str(path))
    names = [name for name in NAMES if name != "3d_cascade_fullres"]
    place = root / "ws"
    pipeline.plan(data, place, configurations=names, num_folds=3, preprocess=False)

    def edit(made):
        items = {name: small(item) for name, item in made.items()}
        items = {name: replace(item, network=_narrow(item.network)) for name, item in items.items()}
        fullres = items["3d_fullres"]
        items["3d_lowres"] = replace(
            fullres,
            name="3d_lowres",
            spacing_mm=tuple(2 * step for step in fullres.spacing_mm),
        )
        items["3d_cascade_fullres"] = replace(
            fullres,
            name="3d_cascade_fullres",
            previous=PreviousStage(names=("3d_lowres",), kind="labels"),
        )
        return items

    edit_plan(place, edit)
    for fold in range(3):
        pipeline.train(place, "3d_lowres", fold)
    return place


def _narrow(network):
    """Transformers that train in a second."""
    if network.architecture == "primus":
        return replace(network, features=(24,), heads=(2,), encoder_blocks=(1,))
    if network.architecture in ("swin_unetr", "dformer"):
        stages = len(network.features)
        return replace(
            network,
            features=tuple(8 * 2**stage for stage in range(stages)),
            heads=(1,) * stages,
            encoder_blocks=tuple(min(blocks, 2) for blocks in network.encoder_blocks),
        )
    return network


@pytest.mark.parametrize("name", NAMES)
def test_regions_and_ignored_voxels_go_through_the_whole_chain(workspace, name):
    item = load_plan(Workspace(workspace)).configurations[name]
    assert item.labels.has_regions
    assert item.labels.ignore == IGNORED
    pipeline.train(workspace, name, 0)
    summary = pipeline.validate(workspace, name, 0)
    assert {score.label for score in summary.scores} == {"organ", "vessel"}
    folder = Workspace(workspace).run(name, 0).validation
    for path in folder.glob("*.nii.gz"):
        assert set(np.unique(read_image(path)[0])) <= {0, 1, 2}
