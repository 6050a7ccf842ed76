"""Left stays left: a model trained on images of one orientation predicts images of all 48."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.inference.network import Options
from autoseg.inference.predictor import Predictor
from autoseg.schema.orientation import ORIENTATIONS
from tests.conftest import make_configuration
from tests.inference.test_predictor import model, noise

OPTIONS = Options(mirroring=False)
SPEC = make_configuration().network
FLAT = replace(
    SPEC,
    kernel_sizes=tuple(item[:2] for item in SPEC.kernel_sizes),
    strides=tuple(item[:2] for item in SPEC.strides),
)
KINDS = {
    "as it is": {},
    "resampled and transposed": {"transpose": (2, 0, 1), "spacing_mm": (1.1, 2.0, 1.4)},
    "slices": {
        "spacing_mm": (1.5, 1.0, None),
        "slice_axis": 2,
        "patch_size": (16, 16),
        "network": FLAT,
    },
}


def oblique(array: np.ndarray) -> sitk.Image:
    """An image whose axes grow nearly to the left, back and up."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.2, 1.5))
    image.SetOrigin((3.0, -7.5, 11.0))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.05, 0.2)
    image.SetDirection(turn.GetMatrix())
    return image


def check(predictor: Predictor, orientation: str) -> None:
    """The labels of an image stored otherwise, turned back, are the image's own."""
    image = oblique(noise(14, 23, 19))
    expected = predictor.predict(image).labels
    assert len(np.unique(expected)) > 1
    found = predictor.predict(sitk.DICOMOrient(image, orientation))
    assert found.geometry.orientation() == orientation
    back = sitk.DICOMOrient(found.to_sitk(), "LPS")
    assert np.array_equal(sitk.GetArrayFromImage(back), expected)


@pytest.fixture(scope="module", params=list(KINDS))
def predictor(request):
    """A model that learnt from images stored LPS; what it says depends on where it looks."""
    return Predictor([model(orientation="LPS", **KINDS[request.param])], OPTIONS)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_same_image_stored_otherwise_gets_the_same_labels(predictor, orientation):
    check(predictor, orientation)


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "SLA"])
def test_models_of_different_orientations_are_averaged_where_they_lie(orientation):
    models = [model(0, orientation="LPS"), model(1, orientation="AIL", transpose=(1, 0, 2))]
    check(Predictor(models, OPTIONS), orientation)


def test_a_model_that_does_not_know_its_orientation_says_so_once(caplog):
    predictor = Predictor([model()], OPTIONS)
    for orientation in ("LPS", "RAS"):
        predictor.predict(sitk.DICOMOrient(oblique(noise(6, 12, 9)), orientation))
    said = [item.getMessage() for item in caplog.records if "orientation" in item.getMessage()]
    assert len(said) == 1
    assert "images are taken as they are (the first is LPS)" in said[0]


def test_two_dimensional_images_are_never_turned(caplog):
    image = sitk.GetImageFromArray(noise(20, 24))
    made = model(spacing_mm=(None, 1.0, 1.0), patch_size=(16, 16), network=FLAT)
    turned = replace(made, configuration=replace(made.configuration, orientation="RAS"))
    labels = [Predictor([item], OPTIONS).predict(image).labels for item in (made, turned)]
    assert np.array_equal(*labels)
    assert not [item for item in caplog.records if "orientation" in item.getMessage()]
