from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from autoseg import pipeline
from autoseg.architectures import build_network
from autoseg.checkpoint import Checkpoint, Provenance, load_checkpoint, save_checkpoint
from autoseg.cli import umbrella
from autoseg.datasets.file_names import input_cases
from autoseg.errors import CheckpointError, InputError, UsageError
from autoseg.images.files import read_image
from autoseg.inference.models import Model
from autoseg.inference.network import LoadedNetwork, Options
from autoseg.inference.network_source import NetworkSource
from autoseg.inference.predictor import Predictor
from autoseg.inference.streaming import grid_planes
from autoseg.inference.streaming.tile_stream import NetworkInput
from autoseg.preprocessing.case import preprocess_array
from autoseg.schema.labels import LabelClass, LabelScheme
from tests.conftest import REGIONS, SCHEME, make_configuration, make_geometry
from tests.tools import plain

PROVENANCE = Provenance(
    dataset="Tiny",
    fold="0",
    train_cases=(),
    val_cases=(),
    file_ending=".nii.gz",
    steps=1,
    val_dice=None,
)


def model(seed: int = 0, **changes) -> Checkpoint:
    """A checkpoint with random weights."""
    configuration = make_configuration(**changes)
    torch.manual_seed(seed)
    network = build_network(
        configuration.network, configuration.in_channels, configuration.labels.num_outputs
    )
    return Checkpoint(
        configuration=configuration, weights=network.state_dict(), provenance=PROVENANCE
    )


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "model.pt"
    save_checkpoint(path, model())
    return path


def write(path: Path, array, spacing=(1.0, 1.0, 1.5), direction=None) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[: array.ndim])
    if direction:
        image.SetDirection(direction)
        image.SetOrigin((3.0, -7.5, 11.0))
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(20, 40, 30), (5, 7, 6), (1, 30, 30), (3, 3, 3)])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_predictions_have_the_images_geometry_and_name(tmp_path, saved, shape, ending):
    turn = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    source = write(tmp_path / f"in/scan_0000{ending}", noise(*shape), direction=turn)
    report = pipeline.predict([saved], tmp_path / "in", tmp_path / "out", device="cpu")
    assert report.failed == {}
    labels, geometry = read_image(tmp_path / f"out/scan{ending}")
    assert geometry == read_image(source)[1]
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_raw_label_values_come_back(tmp_path):
    labels = LabelScheme(
        classes=(LabelClass(name="a", values=(7,)), LabelClass(name="b", values=(300,)))
    )
    save_checkpoint(tmp_path / "model.pt", model(labels=labels))
    write(tmp_path / "in/a_0000.nii.gz", noise(12, 20, 20))
    pipeline.predict([tmp_path / "model.pt"], tmp_path / "in", tmp_path / "out", device="cpu")
    found, _ = read_image(tmp_path / "out/a.nii.gz")
    assert found.dtype == np.uint16
    assert set(np.unique(found)) <= {0, 7, 300}
    assert len(np.unique(found)) > 1


def test_one_file_goes_to_one_file(tmp_path, saved):
    source = write(tmp_path / "brain.nii.gz", noise(12, 20, 20))
    pipeline.predict([saved], source, tmp_path / "seg.nii.gz", device="cpu")
    assert read_image(tmp_path / "seg.nii.gz")[0].shape == (1, 12, 20, 20)


def test_resume_skips_and_nothing_is_overwritten_silently(tmp_path, saved):
    for name in "ab":
        write(tmp_path / f"in/{name}_0000.nii.gz", noise(12, 20, 20))
    pipeline.predict([saved], tmp_path / "in", tmp_path / "out", device="cpu")
    with pytest.raises(UsageError, match=r"is there already \(2 in all\)"):
        pipeline.predict([saved], tmp_path / "in", tmp_path / "out", device="cpu")
    (tmp_path / "out/b.nii.gz").unlink()
    report = pipeline.predict([saved], tmp_path / "in", tmp_path / "out", resume=True, device="cpu")
    assert (report.skipped, list(report.written)) == (["a"], ["b"])
    report = pipeline.predict(
        [saved], tmp_path / "in", tmp_path / "out", overwrite=True, device="cpu"
    )
    assert sorted(report.written) == ["a", "b"]


def test_resume_makes_the_probabilities_that_are_missing(tmp_path, saved):
    for name in "ab":
        write(tmp_path / f"in/{name}_0000.nii.gz", noise(12, 20, 20))
    where = ([saved], tmp_path / "in", tmp_path / "out")
    pipeline.predict(*where, device="cpu")
    before = read_image(tmp_path / "out/a.nii.gz")[0]
    report = pipeline.predict(*where, resume=True, save_probabilities=True, device="cpu")
    assert sorted(report.written) == ["a", "b"]
    assert np.load(tmp_path / "out/a.npz")["probabilities"].shape == (3, 12, 20, 20)
    assert np.array_equal(read_image(tmp_path / "out/a.nii.gz")[0], before)
    (tmp_path / "out/b.npz").unlink()
    report = pipeline.predict(*where, resume=True, save_probabilities=True, device="cpu")
    assert (report.skipped, list(report.written)) == (["a"], ["b"])


def test_a_name_that_is_no_utf8_fails_by_itself(tmp_path, saved, capfd):
    write(tmp_path / "in/a.nii.gz", noise(12, 20, 20))
    write(tmp_path / "in/b.nii.gz", noise(12, 20, 20))
    os.rename(tmp_path / "in/a.nii.gz", os.fsencode(tmp_path) + b"/in/\xff.nii.gz")
    arguments = ["predict", str(saved), "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert umbrella.main(arguments) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.nii.gz"]
    assert "in/\\udcff.nii.gz: the name is not UTF-8. Rename the file." in capfd.readouterr().err
    arguments[-1] = os.fsdecode(os.fsencode(tmp_path) + b"/\xfe")
    assert umbrella.main(arguments) == 2


@pytest.mark.parametrize("ending", [".NII.GZ", ".Mha"])
def test_endings_in_capitals_are_read_and_written(tmp_path, saved, ending):
    write(tmp_path / "a.nii.gz", noise(12, 20, 20))
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    (tmp_path / "in").mkdir()
    sitk.WriteImage(image, str(tmp_path / f"in/b_0000{ending.lower()}"))
    (tmp_path / f"in/b_0000{ending.lower()}").rename(tmp_path / f"in/b_0000{ending}")
    report = pipeline.predict(
        [saved], tmp_path / "in", tmp_path / "out", save_probabilities=True, device="cpu"
    )
    assert report.failed == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [f"b{ending.lower()}", "b.npz"]
    )


def test_predictions_never_replace_their_images(tmp_path, saved):
    write(tmp_path / "in/a.nii.gz", noise(12, 20, 20))
    with pytest.raises(UsageError, match="would replace the images"):
        pipeline.predict([saved], tmp_path / "in", tmp_path / "in", overwrite=True, device="cpu")


def test_a_failing_case_does_not_stop_the_others(tmp_path, saved):
    write(tmp_path / "in/a_0000.nii.gz", noise(12, 20, 20))
    write(tmp_path / "in/c_0000.nii.gz", noise(12, 20, 20))
    (tmp_path / "in/b_0000.nii.gz").write_bytes(b"nothing")
    report = pipeline.predict([saved], tmp_path / "in", tmp_path / "out", device="cpu")
    assert sorted(report.written) == ["a", "c"]
    assert "b_0000.nii.gz: cannot be read" in report.failed["b"]


def test_probabilities_agree_with_the_labels(tmp_path, saved):
    write(tmp_path / "in/a_0000.nii.gz", noise(12, 20, 20))
    pipeline.predict(
        [saved], tmp_path / "in", tmp_path / "out", save_probabilities=True, device="cpu"
    )
    labels, _ = read_image(tmp_path / "out/a.nii.gz")
    with np.load(tmp_path / "out/a.npz") as archive:
        probabilities = archive["probabilities"].astype(np.float32)
    assert probabilities.shape == (3, 12, 20, 20)
    assert np.allclose(probabilities.sum(axis=0), 1, atol=2e-3)
    assert (probabilities.argmax(axis=0) == labels[0]).mean() > 0.999


def test_workers_change_nothing(tmp_path, saved):
    for name in "abc":
        write(tmp_path / f"in/{name}_0000.nii.gz", noise(12, 20, 20 + ord(name) % 5))
    for workers in (1, 3):
        pipeline.predict(
            [saved], tmp_path / "in", tmp_path / f"out{workers}", workers=workers, device="cpu"
        )
    for name in "abc":
        first, second = (read_image(tmp_path / f"out{n}/{name}.nii.gz")[0] for n in (1, 3))
        assert (first == second).all()


def test_two_folds_average_their_logits():
    first, second = model(0), model(1)
    image = noise(1, 16, 24, 20)
    options = Options(mirroring=False)
    geometry = make_geometry(image.shape[1:])
    case = preprocess_array(image, geometry, first.configuration)
    source = NetworkInput(image=torch.from_numpy(case.image))
    networks = [LoadedNetwork(Model(checkpoint=item), options, {}) for item in (first, second)]
    tile = first.configuration.patch_size
    with torch.inference_mode():
        expected = sum(
            plain.sliding_window(item.logits, source.image, tile, 3, step=0.5).numpy() / 2
            for item in networks
        )
    mean = NetworkSource((item, source) for item in networks)
    planes = list(mean.planes(0, reverse=False, window=grid_planes.whole(source.shape)))
    found = torch.stack([mean.head(plane.flatten(0, 1)) for plane in planes])
    assert np.allclose(found.permute(2, 0, 1).flatten(), expected.ravel(), atol=1e-5)
    labels = Predictor([first, second], options).predict_array(image, geometry).labels
    assert (labels == expected.argmax(axis=0)).mean() > 0.999


@pytest.mark.parametrize("labels", [SCHEME, REGIONS])
def test_models_on_different_grids_average_their_probabilities(labels):
    models = [model(0, labels=labels), model(1, labels=labels, spacing_mm=(3.0, 2.0, 2.0))]
    image = noise(1, 16, 24, 20)
    geometry = make_geometry(image.shape[1:])
    options = Options(mirroring=False)
    parts = [
        Predictor([item], options).predict_array(image, geometry, probabilities=True).probabilities
        for item in models
    ]
    found = Predictor(models, options).predict_array(image, geometry, probabilities=True)
    assert np.allclose(found.probabilities, (parts[0] + parts[1]) / 2, atol=1e-5)
    assert found.labels.max() <= 2


def test_models_with_other_labels_are_not_averaged():
    with pytest.raises(UsageError, match="different labels or channels"):
        Predictor([model(), model(labels=REGIONS)], Options())


def test_a_step_outside_of_0_to_1_is_refused():
    with pytest.raises(UsageError, match="--step 1.5"):
        Predictor([model()], Options(step=1.5))


class Evil:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_malicious_model_executes_nothing(tmp_path):
    trace = tmp_path / "executed"
    torch.save({"kind": "autoseg model", "weights": Evil(trace)}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="holds Python objects .* not loaded"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not trace.exists()


def test_damaged_and_foreign_models_are_named(tmp_path, saved):
    data = saved.read_bytes()
    (tmp_path / "half.pt").write_bytes(data[: len(data) // 2])
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    (tmp_path / "text.pt").write_text("hello")
    for name, message in (
        ("half.pt", "damaged or no model file"),
        ("foreign.pt", "not a model file of autoseg"),
        ("text.pt", "text.pt: "),
        ("none.pt", "no such file"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(tmp_path / name)


def test_an_architecture_that_is_a_path_of_code_is_not_imported(tmp_path):
    good = model()
    network = replace(good.configuration.network, architecture="os.system")
    evil = replace(good, configuration=replace(good.configuration, network=network))
    save_checkpoint(tmp_path / "m.pt", evil)
    with pytest.raises(InputError, match=r"Unknown architecture 'os\.system'"):
        Predictor([load_checkpoint(tmp_path / "m.pt")], Options())


def test_weights_that_do_not_fit_are_refused():
    good = model()
    wider = replace(good.configuration.network, features=(4, 8, 32))
    bad = replace(good, configuration=replace(good.configuration, network=wider))
    with pytest.raises(CheckpointError, match="weights do not fit the plan"):
        bad.build()


def test_input_files_become_cases(tmp_path):
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    cases = input_cases(tmp_path, 2)
    assert {name: [path.name for path in files] for name, files in cases.items()} == {
        "a": ["a_0000.nii.gz", "a_0001.nii.gz"],
        "b": ["b.nii.gz"],
    }
    assert len(input_cases(tmp_path / "a_0000.nii.gz", 2)["a"]) == 2
    with pytest.raises(
        InputError, match=r"case 'a' has the channels \[0, 1\], .* expects 3; .*_0002"
    ):
        input_cases(tmp_path, 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image found"):
        input_cases(tmp_path / "empty", 1)
    with pytest.raises(InputError, match="not an image"):
        input_cases(tmp_path / "notes.txt", 1)
    with pytest.raises(InputError, match="no such file or folder"):
        input_cases(tmp_path / "none", 1)
