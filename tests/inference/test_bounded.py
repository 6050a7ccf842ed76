"""Predictions do not depend on memory or workers; regions of interest; images in memory."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from autoseg import pipeline
from autoseg.checkpoint import save_checkpoint
from autoseg.cli import predict as command
from autoseg.costs import prediction_memory
from autoseg.datasets.file_names import input_cases
from autoseg.errors import InputError, UsageError
from autoseg.images.files import read_case, read_image
from autoseg.inference.files import predict_files
from autoseg.inference.models import Model
from autoseg.inference.network import LoadedNetwork, Options
from autoseg.inference.network_source import NetworkSource
from autoseg.inference.predictor import Predictor
from autoseg.inference.region_of_interest import RegionOfInterest
from autoseg.inference.streaming import grid_planes, label_map, tile_stream
from autoseg.inference.streaming.label_map import Part, find_windows
from autoseg.inference.streaming.tile_stream import NetworkInput
from autoseg.preprocessing.case import Restoration, preprocess_array
from autoseg.schema.geometry import geometry_differences
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.plan import NetworkSpec
from tests.conftest import REGIONS, SCHEME, make_geometry
from tests.inference.test_predictor import model, noise, write
from tests.tools import plain

MANY = LabelScheme(
    classes=tuple(LabelClass(name=f"c{value}", values=(value,)) for value in range(1, 20))
)
MODELS = {
    "labels": {},
    "regions": {"labels": REGIONS},
    "more classes than features": {"labels": MANY, "spacing_mm": (1.1, 0.9, 0.8)},
    "slices": {
        "patch_size": (16, 16),
        "num_slices": 3,
        "slice_axis": 1,
        "spacing_mm": (1.3, None, 0.9),
    },
    "transposed": {"transpose": (2, 0, 1), "orientation": "RAS", "spacing_mm": (2.0, 1.0, 1.5)},
}


def made(changes, seed=0):
    """A model of a kind."""
    changes = dict(changes)
    if "num_slices" in changes:
        spec = NetworkSpec(
            architecture="plain_unet",
            features=(4, 8),
            kernel_sizes=((3, 3),) * 2,
            strides=((1, 1), (2, 2)),
            encoder_blocks=(1, 1),
            decoder_blocks=(1,),
        )
        changes["network"] = spec
        base = model()
        changes["training"] = replace(base.configuration.training, mirror_axes=(0, 1))
    return model(seed, **changes)


def plain_labels(checkpoint, image, geometry):
    """The label map by the plain way."""
    network = LoadedNetwork(Model(checkpoint=checkpoint), Options(), {})
    configuration = checkpoint.configuration
    case = preprocess_array(image, geometry, configuration)
    with torch.inference_mode():
        logits = plain.sliding_window(
            network.logits,
            torch.from_numpy(case.image),
            configuration.patch_size,
            configuration.labels.num_outputs,
            step=0.5,
            num_slices=configuration.num_slices,
            slice_axis=configuration.slice_axis,
        ).numpy()
    return plain.restore_prediction(logits, case.trace, configuration.labels)


@pytest.mark.parametrize("num_slices", [1, 3])
def test_slices_of_another_thickness_are_predicted_one_by_one(num_slices):
    """Twice as many slices of half the thickness, in pairs, get what the thick ones get."""
    changes = {**MODELS["slices"], "num_slices": num_slices, "slice_axis": 0}
    changes |= {"spacing_mm": (None, 0.9, 0.8), "slice_distance_mm": 1.5}
    predictor = Predictor([made(changes)], Options())
    thick, geometry = noise(1, 7, 24, 20), make_geometry((7, 24, 20))
    thin = replace(geometry, shape=(14, 24, 20), spacing_mm=(0.75, 1.0, 1.0))
    expected = predictor.predict_array(thick, geometry, probabilities=True).probabilities
    found = predictor.predict_array(thick.repeat(2, axis=1), thin, probabilities=True).probabilities
    assert np.ptp(expected, axis=1).max() > 0.05  # slices differ
    assert np.allclose(found, expected.repeat(2, axis=1), atol=1e-4)


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(tile_stream, "VOXELS_AT_A_TIME", 2**13)
    monkeypatch.setitem(grid_planes.VOXELS_AT_A_TIME, "cpu", 500)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.usefixtures("small_steps")
def test_every_kind_of_model_is_predicted_as_in_the_plain_way(kind):
    image, geometry = noise(1, 26, 44, 38), make_geometry((26, 44, 38))
    checkpoint = made(MODELS[kind])
    found = Predictor([checkpoint], Options()).predict_array(image, geometry)
    expected = plain_labels(checkpoint, image, geometry)
    assert len(np.unique(expected)) > 1
    assert (found.labels == expected).mean() > 0.9999


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.usefixtures("small_steps")
def test_memory_changes_no_voxel(kind, monkeypatch):
    image, geometry = noise(1, 18, 36, 26), make_geometry((18, 36, 26))
    models = [made(MODELS[kind], seed) for seed in (0, 1)]
    seen = []

    def spy(*arguments):
        seen.append(find_windows(*arguments))
        return seen[-1]

    def predict(sums):
        monkeypatch.setattr(prediction_memory, "left_for_sums", lambda *_: sums)
        predictor = Predictor(models, Options())
        without = predictor.predict_array(image, geometry)
        found = predictor.predict_array(image, geometry, probabilities=True)
        assert (without.labels == found.labels).all()
        return found, len(seen[-1].boxes)

    monkeypatch.setattr("autoseg.inference.predictor.find_windows", spy)
    free, pieces = predict(None)
    assert pieces == 1
    sums = 2**20
    while pieces < 3:
        sums = int(sums * 0.6)
        found, pieces = predict(sums)
    assert (found.labels == free.labels).all()
    assert np.array_equal(found.probabilities, free.probabilities)


@pytest.mark.usefixtures("small_steps")
def test_memory_workers_and_resume_change_no_file(tmp_path, monkeypatch):
    # What other tests left in this process is not the command's.
    monkeypatch.setattr(prediction_memory, "_resident_bytes", lambda: 400 * 2**20)
    save_checkpoint(tmp_path / "model.pt", model())
    for name in "abc":
        write(tmp_path / f"in/{name}_0000.nii.gz", noise(22, 30, 24 + ord(name) % 5))
    choices = {
        "plain": {},
        "workers": {"workers": 4},
        "memory": {"memory": "2GB"},
        "probabilities": {"save_probabilities": True},
    }
    for name, options in choices.items():
        report = pipeline.predict(
            [tmp_path / "model.pt"], tmp_path / "in", tmp_path / name, device="cpu", **options
        )
        assert report.failed == {}
    for case in "abc":
        first, *others = (read_image(tmp_path / f"{name}/{case}.nii.gz")[0] for name in choices)
        assert all((first == other).all() for other in others)
    assert not list((tmp_path / "probabilities").glob(".*"))


def test_too_little_memory_is_one_line_and_nothing_is_written(tmp_path, capsys):
    save_checkpoint(tmp_path / "model.pt", model())
    write(tmp_path / "in/a_0000.nii.gz", noise(22, 30, 24))
    arguments = [str(tmp_path / "model.pt"), "-i", str(tmp_path / "in"), "--device", "cpu"]
    code = command.main([*arguments, "-o", str(tmp_path / "out"), "--memory", "100MB"])
    assert code == 1
    assert "--memory allows 0.1 GB. Give more." in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))
    assert command.main([*arguments, "-o", str(tmp_path / "out"), "--memory", "little"]) == 2


def test_images_of_simpleitk_and_files_give_the_same(tmp_path):
    path = write(tmp_path / "in/a_0000.nii.gz", noise(12, 20, 20))
    save_checkpoint(tmp_path / "model.pt", model())
    predictor = Predictor.load(tmp_path / "model.pt", mirroring=False)
    image = sitk.ReadImage(str(path))
    first = predictor.predict(path)
    for given in (image, [image], str(path), [path]):
        assert (predictor.predict(given).labels == first.labels).all()
    segmentation = first.to_sitk()
    assert segmentation.GetSpacing() == image.GetSpacing()
    first.save(tmp_path / "out.nii.gz")
    assert (read_image(tmp_path / "out.nii.gz")[0][0] == first.labels).all()
    with pytest.raises(UsageError, match="not both"):
        predictor.predict([image, path])


def test_a_model_that_does_not_fit_is_refused_before_an_image_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("autoseg.inference.files.read_case", lambda files: pytest.fail("read"))
    save_checkpoint(tmp_path / "model.pt", model())
    write(tmp_path / "in/a_0000.nii.gz", noise(22, 30, 24))
    with pytest.raises(InputError, match=r"needs more than .* GB to predict, --memory allows 0\.1"):
        pipeline.predict(
            [tmp_path / "model.pt"], tmp_path / "in", tmp_path / "o", memory="100MB", device="cpu"
        )


def test_too_little_memory_for_the_tiles_of_a_large_image_is_found_at_once():
    network = LoadedNetwork(Model(checkpoint=model(patch_size=(32, 32, 32))), Options(), {})
    shape = (300, 300, 300)
    case = NetworkInput(image=torch.empty(1, 1, 1, 1).expand(1, *shape))
    restoration = Restoration(
        shape=(512, 512, 512),
        coarse=None,
        axes=(0, 1, 2),
        flips=(False,) * 3,
        crop=((0, 512),) * 3,
        full_shape=(512, 512, 512),
    )
    part = Part(source=NetworkSource([(network, case)]), restoration=restoration)
    evaluated = 0

    def count(*arguments):
        nonlocal evaluated
        evaluated += 1
        return ring_bytes(*arguments)

    ring_bytes = label_map._ring_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_map, "_ring_bytes", count)
        with pytest.raises(UsageError, match="Give more --memory"):
            find_windows([part], SCHEME, memory_bytes=10)
    assert evaluated < 2000


class Finder:
    """Stands for a coarse model."""

    labels = SCHEME
    num_channels = 1

    def __init__(self, found):
        self.found = found

    def predict_array(self, image, geometry):
        assert image.shape[0] == 1
        labels = np.zeros(geometry.shape, dtype=np.uint8)
        if self.found:
            labels[10:12, 20:25, 15] = 2
        return type("Found", (), {"labels": labels})


def test_only_the_region_of_interest_is_predicted(tmp_path):
    turn = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    path = write(tmp_path / "in/a_0000.nii.gz", noise(30, 44, 40), direction=turn)
    image, geometry = read_case((path,))
    name = SCHEME.classes[1].name
    region = RegionOfInterest(Finder(found=True), [name], margin_mm=6.0)
    box = region.find(image, geometry)
    assert box == (slice(6, 16), slice(14, 31), slice(9, 22))
    cut = geometry.cropped(box)
    assert cut.shape == (10, 17, 13)
    predictor = Predictor([model()], Options(), region)
    found = predictor.predict_array(image, geometry, probabilities=True)
    inside = Predictor([model()], Options()).predict_array(image[(slice(None), *box)], cut)
    assert (found.labels[box] == inside.labels).all()
    outside = np.ones(geometry.shape, dtype=bool)
    outside[box] = False
    assert (found.labels[outside] == 0).all()
    assert (found.probabilities[0][outside] == 1).all()


def test_the_coarse_network_runs_alone_while_files_are_read_ahead(tmp_path):
    for index in range(6):
        write(tmp_path / f"in/c{index}_0000.nii.gz", noise(30, 44, 40))
    threads = set()

    class Watched(Finder):
        def predict_array(self, image, geometry):
            threads.add(threading.get_ident())
            return super().predict_array(image, geometry)

    region = RegionOfInterest(Watched(found=True), [SCHEME.classes[1].name], margin_mm=6.0)
    predictor = Predictor([model()], Options(), region)
    cases = input_cases(tmp_path / "in", 1)
    targets = {name: tmp_path / f"out/{name}.nii.gz" for name in cases}
    report = predict_files(predictor, cases, targets, workers=4)
    assert (report.failed, len(report.written)) == ({}, 6)
    assert threads == {threading.get_ident()}
    image, geometry = read_case(cases["c3"])
    alone = predictor.predict_array(image, geometry)
    assert (read_image(targets["c3"])[0][0] == alone.labels).all()


def test_a_cropped_geometry_is_where_the_voxels_were(tmp_path):
    turn = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    path = write(tmp_path / "a.nii.gz", noise(30, 44, 40), direction=turn)
    image = sitk.ReadImage(str(path))
    part = image[3:20, 5:31, 7:29]
    sitk.WriteImage(part, str(tmp_path / "b.nii.gz"))
    box = (slice(7, 29), slice(5, 31), slice(3, 20))
    geometry, expected = (read_image(tmp_path / f"{name}.nii.gz")[1] for name in "ab")
    assert geometry_differences(geometry.cropped(box), expected) == []


def test_a_region_that_is_not_found_means_the_whole_image():
    image, geometry = noise(1, 30, 44, 40), make_geometry((30, 44, 40))
    region = RegionOfInterest(Finder(found=False), ["1"])
    assert region.find(image, geometry) == grid_planes.whole(geometry.shape)
    with pytest.raises(UsageError, match="the coarse model has no such label"):
        RegionOfInterest(Finder(found=True), ["spleens"])


def test_the_region_of_interest_is_an_option_of_the_command(tmp_path, capsys):
    save_checkpoint(tmp_path / "model.pt", model())
    save_checkpoint(tmp_path / "coarse.pt", model(3))
    write(tmp_path / "in/a_0000.nii.gz", noise(22, 30, 24))
    arguments = [str(tmp_path / "model.pt"), "-i", str(tmp_path / "in"), "--device", "cpu"]
    assert command.main([*arguments, "-o", str(tmp_path / "out"), "--roi", "x"]) == 2
    assert "--roi LABELS and --roi-model MODEL need each other" in capsys.readouterr().err
    arguments += ["--roi-model", str(tmp_path / "coarse.pt"), "--roi-margin", "2"]
    name = SCHEME.classes[0].name
    assert command.main([*arguments, "-o", str(tmp_path / "out"), "--roi", name]) == 0
    assert (tmp_path / "out/a.nii.gz").is_file()
