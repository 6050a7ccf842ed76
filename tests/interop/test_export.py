"""Models for other programs, and model cards."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from autoseg import pipeline
from autoseg.checkpoint import load_checkpoint, save_checkpoint
from autoseg.cli import umbrella
from autoseg.errors import UsageError
from autoseg.inference.network import LoadedNetwork
from autoseg.interop.nnunet_export import make_plans, rename_weights
from autoseg.report.model_card import write_card
from autoseg.schema import serialise
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.plan import Configuration
from tests.conftest import REGIONS, SCHEME, make_configuration
from tests.inference.test_predictor import model, noise, write
from tests.interop.test_nnunet import nnunet_weights


def saved(tmp_path, name="fold_0", **changes):
    """A model file in a run's folder."""
    made = model(**changes)
    made = replace(made, provenance=replace(made.provenance, fold=name.removeprefix("fold_")))
    path = tmp_path / "runs/3d" / name / "checkpoint_final.pt"
    path.parent.mkdir(parents=True)
    save_checkpoint(path, made)
    return path


@pytest.mark.parametrize("labels", [SCHEME, REGIONS], ids=["labels", "regions"])
def test_what_is_exported_for_nnunet_predicts_the_same_when_it_is_read_again(
    tmp_path, labels, monkeypatch
):
    # What is read from nnU-Net's format is rounded as nnU-Net does it.
    monkeypatch.setattr(LoadedNetwork, "half_sums", False)
    saved(tmp_path, labels=labels)
    saved(tmp_path, "fold_1", labels=labels)
    arguments = ["export", "nnunet", str(tmp_path / "runs/3d"), "-o", str(tmp_path / "theirs")]
    assert umbrella.main(arguments) == 0
    assert (tmp_path / "theirs/fold_1/checkpoint_final.pth").is_file()
    write(tmp_path / "in/a_0000.nii.gz", noise(12, 20, 20))
    results = []
    for folder in ("runs/3d", "theirs"):
        out = tmp_path / f"out_{folder[:4]}"
        report = pipeline.predict(
            [tmp_path / folder], tmp_path / "in", out, save_probabilities=True, device="cpu"
        )
        assert report.failed == {}
        results.append(np.load(out / "a.npz")["probabilities"])
    assert np.array_equal(*results)
    assert "| licence |" in (tmp_path / "theirs/MODEL_CARD.md").read_text()


@pytest.mark.parametrize("architecture", ["plain_unet", "residual_unet"])
def test_the_exported_weights_have_all_of_nnunets_names(architecture):
    made = model()
    network = replace(made.configuration.network, architecture=architecture)
    configuration = replace(made.configuration, network=network)
    from autoseg.architectures import build_network

    built = build_network(network, 1, configuration.labels.num_outputs)
    expected = nnunet_weights(built, architecture == "residual_unet")
    found = rename_weights(built.state_dict(), architecture)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("patch_size", "spacing_mm", "sizes", "original"),
    [
        ((16, 16), (None, 0.5, 0.75), [40.0, 30.0], [1, 40, 30]),
        ((16, 16, 16), (3.0, 0.5, 0.75), [20.0, 40.0, 30.0], [20, 40, 30]),
    ],
)
def test_plans_have_a_size_for_every_axis(patch_size, spacing_mm, sizes, original):
    item = replace(
        model().configuration,
        patch_size=patch_size,
        spacing_mm=spacing_mm,
        median_shape=tuple(sizes),
    )
    plans = make_plans(item, "Dataset001_Tiny", ".nii.gz")
    numbers = plans["configurations"][item.name]
    assert numbers["median_image_size_in_voxels"] == sizes
    assert numbers["spacing"] == [step for step in spacing_mm if step]
    assert plans["original_median_shape_after_transp"] == original
    assert len(plans["original_median_spacing_after_transp"]) == 3


def test_what_nnunet_cannot_do_is_said_and_nothing_is_written(tmp_path, capsys):
    network = model().configuration.network
    coarser = len(network.features) - 1
    network = replace(
        network, kernel_sizes=((3, 3),) * (coarser + 1), strides=((1, 1), *((2, 2),) * coarser)
    )
    path = saved(tmp_path, num_slices=3, patch_size=(16, 16), network=network)
    code = umbrella.main(["export", "nnunet", str(path), "-o", str(tmp_path / "out")])
    assert code == 2
    assert "nnU-Net has no neighbouring slices as channels" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_that_do_not_follow_each_other_are_numbered_and_said(tmp_path):
    labels = LabelScheme(
        classes=(LabelClass(name="a", values=(7,)), LabelClass(name="b", values=(300,))), ignore=9
    )
    notes = pipeline.export_model("nnunet", saved(tmp_path, labels=labels), tmp_path / "out")
    assert notes == ["nnU-Net numbers labels one by one: 1 is 7, 2 is 300 of the data set."]
    dataset = json.loads((tmp_path / "out/dataset.json").read_text())
    assert dataset["labels"] == {"background": 0, "a": 1, "b": 2, "ignore": 3}


def test_an_orientation_is_said_and_comes_back(tmp_path):
    path = saved(tmp_path, orientation="PIR")
    (note,) = pipeline.export_model("nnunet", path, tmp_path / "out")
    assert note.startswith("The network wants images that are stored PIR. nnU-Net does not turn")
    pipeline.import_model(tmp_path / "out", tmp_path / "back")
    made = load_checkpoint(tmp_path / "back/fold_0/checkpoint_final.pt")
    assert made.configuration.orientation == "PIR"


def test_the_card_names_the_axes_of_the_image_that_are_mirrored(tmp_path):
    training = replace(make_configuration().training, mirror_axes=(0, 2))
    card = tmp_path / "card.md"
    write_card(card, model(transpose=(2, 0, 1), training=training, orientation="PIR"))
    assert "| mirrored axes | y, x |" in card.read_text()
    assert "| orientation | PIR |" in card.read_text()


def test_exports_replace_nothing_silently(tmp_path):
    path = saved(tmp_path)
    pipeline.export_model("nnunet", path, tmp_path / "out")
    with pytest.raises(UsageError, match="holds a model already"):
        pipeline.export_model("nnunet", path, tmp_path / "out")
    pipeline.export_model("nnunet", path, tmp_path / "out", overwrite=True)
    (tmp_path / "a.pt2").touch()
    with pytest.raises(UsageError, match="is there already"):
        pipeline.export_model("program", path, tmp_path / "a.pt2")
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        pipeline.export_model("onnx", path, tmp_path / "a.bin")


def test_onnx_gives_torchs_logits_for_any_batch(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="autoseg[export] is not installed")
    path = saved(tmp_path)
    notes = pipeline.export_model("onnx", path, tmp_path / "net.onnx")
    assert "onnxruntime's logits differ" in notes[0]
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
    made = load_checkpoint(path)
    batch = torch.randn(4, 1, *made.configuration.patch_size)
    (logits,) = session.run(None, {"image": batch.numpy()})
    with torch.no_grad():
        assert np.allclose(logits, made.build()(batch)[0].numpy(), atol=1e-4)
    plan = serialise.load(Configuration, tmp_path / "net.onnx.plan.yaml")
    assert plan == made.configuration
    assert (tmp_path / "net.onnx.card.md").is_file()


def test_an_exported_program_gives_torchs_logits_for_any_batch(tmp_path):
    path = saved(tmp_path)
    pipeline.export_model("program", path, tmp_path / "net.pt2")
    made = load_checkpoint(path)
    batch = torch.randn(3, 1, *made.configuration.patch_size)
    program = torch.export.load(tmp_path / "net.pt2").module()
    with torch.no_grad():
        assert torch.allclose(program(batch), made.build()(batch)[0], atol=1e-5)


def test_a_graph_is_made_of_one_model(tmp_path):
    saved(tmp_path)
    saved(tmp_path, "fold_1")
    with pytest.raises(UsageError, match="There are 2 models; name one"):
        pipeline.export_model("program", tmp_path / "runs/3d", tmp_path / "net.pt2")


def test_a_licence_that_somebody_filled_in_is_kept(tmp_path):
    path = saved(tmp_path)
    pipeline.export_model("nnunet", path, tmp_path / "out")
    card = tmp_path / "out/MODEL_CARD.md"
    text = card.read_text()
    assert "| licence | not stated" in text
    card.write_text(text.replace("not stated; fill it in before you share the model", "CC BY 4.0"))
    pipeline.export_model("nnunet", path, tmp_path / "out", overwrite=True)
    assert "| licence | CC BY 4.0 |" in card.read_text()


@pytest.mark.parametrize(
    ("ending", "orientation", "reader"),
    [
        (".tif", "LPS", "Tiff3DIO"),
        (".tiff", None, "Tiff3DIO"),  # three-dimensional patches
        (".nii.gz", "LPS", "SimpleITKIO"),
        (".nii.gz", "RAS", "NibabelIOWithReorient"),
    ],
)
def test_the_reader_is_that_of_the_images(ending, orientation, reader):
    configuration = model(orientation=orientation).configuration
    assert make_plans(configuration, "Dataset001_X", ending)["image_reader_writer"] == reader
