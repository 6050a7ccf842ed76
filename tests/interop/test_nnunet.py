"""Models of nnU-Net: the same predictions, and nothing in their files is executed."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from autoseg import pipeline
from autoseg.architectures import build_network
from autoseg.checkpoint import load_checkpoint
from autoseg.cli import import_model as command
from autoseg.errors import CheckpointError, InputError, UsageError
from autoseg.inference.models import find_models
from autoseg.interop import nnunet
from autoseg.interop.fields import Fields
from autoseg.interop.nnunet_plans import read_configuration
from autoseg.preprocessing.case import preprocess_array, with_image_labels
from autoseg.preprocessing.resample import resample_volume
from autoseg.schema.plan import NetworkSpec
from tests.conftest import make_geometry

DIMENSIONS = {2: "Conv2d", 3: "Conv3d"}


def make_plans(dims=3, residual=False, **changes):
    """Plans with one configuration of two stages."""
    blocks = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    name = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    arguments = {
        "n_stages": 2,
        "features_per_stage": [4, 8],
        "conv_op": f"torch.nn.modules.conv.{DIMENSIONS[dims]}",
        "kernel_sizes": [[3] * dims] * 2,
        "strides": [[1] * dims, [2] * dims],
        blocks: [1, 2],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    item = {
        "batch_size": 2,
        "patch_size": [8] * dims,
        "spacing": [1.0] * dims,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
            "arch_kwargs": arguments,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        **changes,
    }
    return {
        "dataset_name": "Dataset001_X",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "configurations": {"base": item, "net": {"inherits_from": "base", "batch_size": 3}},
        "foreground_intensity_properties_per_channel": {},
    }


DATASET = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "a": 1, "b": 2},
    "file_ending": ".nii.gz",
}
BACK = (
    (r"^stem\.", "encoder.stem.convs.0."),
    (r"^decoder\.stages\.(\d+)\.(\d+)\.", r"decoder.stages.\1.convs.\2."),
    (r"^decoder\.transposed\.", "decoder.transpconvs."),
    (r"^decoder\.heads\.", "decoder.seg_layers."),
)


def nnunet_weights(network, residual):
    """A network's weights with nnU-Net's names and aliases."""
    stage = r"encoder.stages.\1.blocks.\2." if residual else r"encoder.stages.\1.0.convs.\2."
    result = {}
    for key, value in network.state_dict().items():
        name = re.sub(r"^encoder\.(\d+)\.(\d+)\.", stage, key)
        for pattern, replacement in BACK:
            name = re.sub(pattern, replacement, name)
        names = [name]
        for part, index in (("conv", 0), ("norm", 1)):
            names.append(re.sub(rf"\.{part}\.(\w+)$", rf".all_modules.{index}.\1", name))
        for alias in list(names):
            if alias.startswith("encoder."):
                names.append(f"decoder.{alias}")
        result.update(dict.fromkeys(names, value))
    return result


def make_model(
    root, *, dims=3, residual=False, dataset=DATASET, outputs=3, weights=None, **changes
):
    """Writes a result folder as nnU-Net does; returns it and the network."""
    plans = make_plans(dims, residual, **changes)
    folder = root / "nnUNetTrainer__nnUNetPlans__net"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(0)
    spec = NetworkSpec(
        architecture="residual_unet" if residual else "plain_unet",
        features=(4, 8),
        kernel_sizes=((3,) * dims,) * 2,
        strides=((1,) * dims, (2,) * dims),
        encoder_blocks=(1, 2),
        decoder_blocks=(1,),
    )
    network = build_network(spec, len(dataset["channel_names"]), outputs).eval()
    content = {
        "network_weights": weights or nnunet_weights(network, residual),
        "init_args": {"configuration": "net", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
        "_best_ema": np.float64(0.5),
        "logging": {"mean_fg_dice": [np.float32(0.1), np.float64(0.2)]},
        "grad_scaler_state": None,
    }
    torch.save(content, folder / "fold_0/checkpoint_final.pth")
    return folder, network


@pytest.mark.data
@pytest.mark.parametrize(("mirroring", "expected"), [(True, "tta"), (False, "notta")])
def test_predictions_are_those_of_nnunet(reference_models, tmp_path, mirroring, expected):
    root = reference_models / "nnunet_hippocampus_3d"
    (tmp_path / "images").mkdir()
    image = "hippocampus_037_0000.nii.gz"
    shutil.copy(root / "images" / image, tmp_path / "images" / image)
    pipeline.predict(
        [root / "model"],
        tmp_path / "images",
        tmp_path / "out",
        save_probabilities=True,
        mirroring=mirroring,
        device="cpu",
    )
    stored = root / f"expected_{expected}"
    ours, theirs = (
        np.load(folder / "hippocampus_037.npz")["probabilities"].astype(np.float32)
        for folder in (tmp_path / "out", stored)
    )
    gap = np.abs(ours - theirs)
    assert gap.max() < 5e-3
    assert gap.mean() < 3e-4
    labels = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "hippocampus_037.nii.gz")))
        for folder in (tmp_path / "out", stored)
    ]
    assert (labels[0] == labels[1]).mean() >= 0.9995


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_weights_are_those_of_the_file(tmp_path, dims, residual):
    folder, network = make_model(tmp_path, dims=dims, residual=residual)
    (path,) = nnunet.find_checkpoints(folder)
    model = nnunet.read_checkpoint(path)
    assert model.configuration.training.mirror_axes == (0, 1)
    assert model.configuration.batch_size == 3
    image = torch.randn(1, 1, *[8] * dims)
    with torch.inference_mode():
        assert torch.equal(model.build()(image)[0], network(image)[0])


def test_regions_channels_and_ignore_label_are_read(tmp_path):
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3},
        "regions_class_order": [1, 2],
        "file_ending": ".nrrd",
    }
    statistics = {
        key: 1.0
        for key in ("mean", "median", "std", "min", "max", "percentile_00_5", "percentile_99_5")
    }
    folder, _ = make_model(
        tmp_path, dataset=dataset, outputs=2, normalization_schemes=["CTNormalization"]
    )
    plans = json.loads((folder / "plans.json").read_text())
    plans["foreground_intensity_properties_per_channel"] = {"0": statistics}
    plans["image_reader_writer"] = "NibabelIOWithReorient"
    (folder / "plans.json").write_text(json.dumps(plans))
    model = nnunet.read_checkpoint(folder / "fold_0/checkpoint_final.pth")
    configuration = model.configuration
    assert configuration.labels.has_regions
    assert configuration.labels.ignore == 3
    assert configuration.channels[0].normalisation == "ct"
    assert configuration.channels[0].statistics.std == 1
    assert configuration.orientation == "RAS"
    assert model.provenance.file_ending == ".nrrd"


@pytest.mark.parametrize(
    ("change", "orientation"),
    [
        ({}, None),
        ({"image_reader_writer": "NibabelIOWithReorient"}, "RAS"),
        ({"image_reader_writer": "SimpleITKIOWithReorient"}, "RAS"),
        ({"autoseg_orientation": "PIR"}, "PIR"),
    ],
)
def test_the_orientation_is_what_the_reader_or_our_export_says(tmp_path, change, orientation):
    folder, _ = make_model(tmp_path)
    plans = json.loads((folder / "plans.json").read_text())
    (folder / "plans.json").write_text(json.dumps(plans | change))
    model = nnunet.read_checkpoint(folder / "fold_0/checkpoint_final.pth")
    assert model.configuration.orientation == orientation


def test_old_plans_have_the_same_network(tmp_path):
    new = make_plans()
    arguments = new["configurations"]["base"]["architecture"]["arch_kwargs"]
    old = make_plans()
    del old["configurations"]["base"]["architecture"]
    old["configurations"]["base"] |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": [1, 2],
        "n_conv_per_stage_decoder": [1],
        "pool_op_kernel_sizes": arguments["strides"],
        "conv_kernel_sizes": arguments["kernel_sizes"],
    }
    dataset = Fields(DATASET, "dataset.json")
    first, second = (
        read_configuration(Fields(plans, "plans.json"), dataset, "net", ()) for plans in (new, old)
    )
    assert first.network == second.network


def test_imported_models_predict_like_the_folder(tmp_path):
    folder, _ = make_model(tmp_path)
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((9, 10, 11), dtype=np.float32))
    (tmp_path / "images").mkdir()
    sitk.WriteImage(image, str(tmp_path / "images/a_0000.nii.gz"))
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.rglob("*"):
            if path.is_file():
                opened.write(path, f"nnUNet_results/D/{path.relative_to(tmp_path)}")
    assert command.main(["nnunet", str(archive), "-o", str(tmp_path / "ours")]) == 0
    assert not list(tmp_path.glob(".unpacked*"))
    assert command.main(["nnunet", str(folder), "-o", str(tmp_path / "ours")]) == 2
    assert command.main(["nnunet", str(folder), "-o", str(tmp_path / "ours"), "--overwrite"]) == 0
    results = []
    for model in (folder, folder / "fold_0", tmp_path / "ours"):
        out = tmp_path / f"out{len(results)}"
        pipeline.predict([model], tmp_path / "images", out, device="cpu")
        results.append(sitk.GetArrayFromImage(sitk.ReadImage(str(out / "a.nii.gz"))))
    assert all(np.array_equal(results[0], other) for other in results[1:])


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_malicious_pickles_are_not_executed(tmp_path):
    folder, _ = make_model(tmp_path)
    path = folder / "fold_0/checkpoint_final.pth"
    trap = tmp_path / "trap"
    torch.save({"network_weights": {}, "logging": Evil(trap)}, path)
    with pytest.raises(CheckpointError, match="must not hold"):
        nnunet.read_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil(trap)))
    with pytest.raises(CheckpointError):
        nnunet.read_checkpoint(path)
    assert not trap.exists()


def edit(folder, change):
    plans = json.loads((folder / "plans.json").read_text())
    change(plans, plans["configurations"]["base"])
    (folder / "plans.json").write_text(json.dumps(plans))


def architecture(item):
    return item["architecture"]["arch_kwargs"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda _, item: item["architecture"].update(network_class_name="os.system"),
            "network class 'os.system'",
        ),
        (lambda _, item: architecture(item).update(norm_op="torch.nn.BatchNorm3d"), "the norm"),
        (lambda _, item: architecture(item).update(nonlin="torch.nn.ReLU"), "the activation"),
        (lambda _, item: architecture(item).update(conv_bias=False), "conv_bias = False"),
        (lambda _, item: architecture(item).update(surprise=1), "surprise = 1"),
        (lambda _, item: item.update(normalization_schemes=["My"]), "the normalisation 'My'"),
        (lambda _, item: item.update(use_mask_for_norm=[]), "normalisations for 1 channels"),
        (lambda _, item: item.update(resampling_fn_data="mine"), "resampled by mine"),
        (lambda plans, _: plans.update(image_reader_writer="Mine"), "image reader 'Mine'"),
        (lambda plans, _: plans["configurations"].pop("net"), "no configuration 'net'"),
        (
            lambda plans, _: plans["configurations"]["base"].update(inherits_from="net"),
            "inherits from",
        ),
    ],
)
def test_plans_that_we_do_not_do_are_refused(tmp_path, change, message):
    folder, _ = make_model(tmp_path)
    edit(folder, change)
    with pytest.raises(InputError, match=message):
        nnunet.read_checkpoint(folder / "fold_0/checkpoint_final.pth")


def test_trainers_with_another_network_are_refused(tmp_path):
    folder, _ = make_model(
        tmp_path, weights={"encoder.stages.0.0.convs.0.conv.weight": torch.ones(1)}
    )
    with pytest.raises(CheckpointError, match="the trainer 'nnUNetTrainer' has another network"):
        nnunet.read_checkpoint(folder / "fold_0/checkpoint_final.pth")


def test_damaged_and_foreign_files_are_named(tmp_path):
    folder, _ = make_model(tmp_path)
    path = folder / "fold_0/checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="damaged"):
        nnunet.read_checkpoint(path)
    torch.save({"a": 1}, path)
    with pytest.raises(CheckpointError, match="no checkpoint of nnU-Net"):
        nnunet.read_checkpoint(path)
    torch.save([1], path)
    with pytest.raises(CheckpointError, match="no checkpoint of nnU-Net"):
        nnunet.read_checkpoint(path)
    (folder / "plans.json").write_text("{")
    with pytest.raises(InputError, match=r"plans\.json: cannot be read"):
        nnunet.read_checkpoint(path)
    (folder / "plans.json").unlink()
    with pytest.raises(InputError, match="needs it"):
        nnunet.read_checkpoint(path)
    with pytest.raises(InputError, match="has no plans"):
        nnunet.import_model(folder, tmp_path / "out")
    with pytest.raises(InputError, match="no such file or folder"):
        nnunet.import_model(tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a\\..\\..\\evil.txt", "C:/evil.txt"])
def test_archives_do_not_leave_their_folder(tmp_path, name):
    archive = tmp_path / "in/model.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("m/plans.json", "{}")
        opened.writestr(name, "x")
    with pytest.raises(InputError, match="leaves the folder"):
        nnunet.import_model(archive, tmp_path / "in/out")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not (tmp_path / "in/out").exists() or not list((tmp_path / "in/out").iterdir())


def test_archives_that_explode_or_hold_no_model_are_refused(tmp_path):
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("m/plans.json", "{}")
        opened.writestr("m/checkpoint_final.pth", b"0" * (1 << 23))
    with pytest.raises(InputError, match="unpacks to"):
        nnunet.import_model(archive, tmp_path / "out")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a/plans.json", "{}")
        opened.writestr("b/plans.json", "{}")
        opened.writestr("a/dataset.json", "{}")
        opened.writestr("b/dataset.json", "{}")
        opened.writestr("a/fold_0/checkpoint_final.pth", "")
        opened.writestr("b/fold_0/checkpoint_final.pth", "")
    with pytest.raises(InputError, match="found a, b. Choose"):
        nnunet.import_model(archive, tmp_path / "out")
    archive.write_bytes(b"x")
    with pytest.raises(InputError, match="no zip archive"):
        nnunet.import_model(archive, tmp_path / "out")


def test_one_of_several_models_is_chosen(tmp_path):
    folder, _ = make_model(tmp_path / "results/Dataset001_X")
    other = folder.with_name("nnUNetTrainer__nnUNetPlans__2d")
    shutil.copytree(folder, other)
    with pytest.raises(InputError, match=r"found Dataset001_X/\w+__2d, .*Choose with --conf"):
        nnunet.import_model(tmp_path / "results", tmp_path / "out")
    arguments = ["nnunet", str(tmp_path / "results"), "-o", str(tmp_path / "out")]
    assert command.main([*arguments, "--configuration", "3d_lowres"]) == 1
    assert command.main([*arguments, "--configuration", "net"]) == 0
    assert (tmp_path / "out/fold_0/checkpoint_final.pt").is_file()
    shutil.rmtree(other)
    nnunet.import_model(tmp_path / "results", tmp_path / "again")


def test_existing_models_are_kept(tmp_path):
    folder, _ = make_model(tmp_path)
    nnunet.import_model(folder, tmp_path / "out")
    with pytest.raises(UsageError, match="is there already"):
        nnunet.import_model(folder, tmp_path / "out")


def test_images_with_other_channels_are_named(tmp_path):
    folder, _ = make_model(tmp_path)
    (tmp_path / "images").mkdir()
    image = sitk.GetImageFromArray(np.zeros((9, 10, 11), np.float32))
    for channel in range(2):
        sitk.WriteImage(image, str(tmp_path / f"images/a_{channel:04d}.nii.gz"))
    try:
        report = pipeline.predict([folder], tmp_path / "images", tmp_path / "out", device="cpu")
        assert report.failed
    except InputError as error:
        assert "channel" in str(error)  # noqa: PT017


def make_cascade(root):
    """Result folders of both stages of a cascade, side by side."""
    folder, _ = make_model(root / "a")
    low = root / "models" / "nnUNetTrainer__nnUNetPlans__low"
    low.parent.mkdir()
    shutil.move(folder, low)
    dataset = {**DATASET, "channel_names": {"0": "MRI", "1": "a", "2": "b"}}  # for the weights
    second, _ = make_model(root / "b", dataset=dataset)
    (second / "dataset.json").write_text(json.dumps(DATASET))
    edit(second, lambda _, item: item.update(previous_stage="low"))
    edit(low, lambda plans, _: plans["configurations"].update(low={"inherits_from": "base"}))
    content = torch.load(low / "fold_0/checkpoint_final.pth", weights_only=False)
    content["init_args"]["configuration"] = "low"
    torch.save(content, low / "fold_0/checkpoint_final.pth")
    final = low.with_name("nnUNetTrainer__nnUNetPlans__net")
    shutil.move(second, final)
    return final, low


def test_a_cascade_is_read_imported_and_predicted_with_both_stages(tmp_path):
    second, low = make_cascade(tmp_path)
    (tmp_path / "in").mkdir()
    image = sitk.GetImageFromArray(
        np.random.default_rng(0).normal(0, 1, (12, 14, 16)).astype(np.float32)
    )
    sitk.WriteImage(image, str(tmp_path / "in/a_0000.nii.gz"))
    pipeline.predict([second], tmp_path / "in", tmp_path / "direct", device="cpu")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for path in sorted(low.parent.rglob("*")):
            name = path.relative_to(low.parent).as_posix().replace("__net", "__cascade")
            archive.write(path, f"nnUNet_results/{name}")
    for name, source in (("folder", second), ("zip", tmp_path / "both.zip")):
        assert command.main(["nnunet", str(source), "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name / "low/fold_0/checkpoint_final.pt").is_file()
        pipeline.predict([tmp_path / name], tmp_path / "in", tmp_path / f"of_{name}", device="cpu")
    maps = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / "a.nii.gz")))
        for name in ("direct", "of_folder", "of_zip")
    ]
    assert all((maps[0] == other).all() for other in maps)
    assert len(np.unique(maps[0])) > 1


def test_a_model_of_all_cases_is_only_taken_where_there_are_no_folds(tmp_path):
    folder, _ = make_model(tmp_path)
    fold = folder / "fold_0"
    everything = folder / "fold_all"
    shutil.copytree(fold, everything)
    assert [path.parent for path in find_models(folder)] == [fold]
    assert [path.parent for path in find_models(everything)] == [everything]
    shutil.rmtree(fold)
    assert [path.parent for path in find_models(folder)] == [everything]


def test_a_fold_that_nnunet_did_not_finish_is_left_out(tmp_path, caplog):
    folder, _ = make_model(tmp_path)
    shutil.copytree(folder / "fold_0", folder / "fold_1")
    (folder / "fold_1/checkpoint_final.pth").rename(folder / "fold_1/checkpoint_best.pth")
    assert [path.parent.name for path in find_models(folder)] == ["fold_0"]
    assert "fold_1: has no checkpoint_final.pth; left out" in caplog.text
    assert [path.name for path in find_models(folder / "fold_1")] == ["checkpoint_best.pth"]
    shutil.rmtree(folder / "fold_0")
    assert [path.name for path in find_models(folder)] == ["checkpoint_best.pth"]
    assert "checkpoint_best.pth is taken" in caplog.text


def test_background_outside_the_image_is_a_label_of_its_own_when_a_cascade_resamples(tmp_path):
    second, _ = make_cascade(tmp_path)
    edit(second, lambda _, item: item.update(spacing=[1.5, 1.4, 1.4]))
    (model,) = find_models(second)
    configuration = nnunet.read_checkpoint(model).configuration
    rows, columns = np.mgrid[:18, :18]
    image = np.ones((1, 3, 18, 18), dtype=np.float32)
    image[0, :, rows + columns < 15] = 0  # a corner, so that nothing is cropped
    labels = (np.random.default_rng(0).random((3, 18, 18)) < 0.45).astype(np.uint8)
    case = preprocess_array(image, make_geometry(image.shape[1:]), configuration)
    assert case.source is not None
    _, found = with_image_labels(case, labels, configuration)
    outside = (labels == 0) & (image[0] == 0)
    indicators = {
        value: resample_volume(mask.astype(np.float32), case.image.shape[1:], order=1)
        for value, mask in ((0, (labels == 0) & ~outside), (1, labels == 1), (-1, outside))
    }
    for value, cover in indicators.items():
        others = np.max([other for key, other in indicators.items() if key != value], axis=0)
        assert np.all(found[cover > others + 1e-5] == max(value, 0))
    _, plain = with_image_labels(replace(case, source=None), labels, configuration)
    assert (found == 1).sum() > (plain == 1).sum()  # background is parted in two


def test_masked_normalisation_of_a_cascade_looks_at_the_first_stages_labels_too(tmp_path):
    second, _ = make_cascade(tmp_path)
    edit(second, lambda _, item: item.update(use_mask_for_norm=[True]))
    (model,) = find_models(second)
    configuration = nnunet.read_checkpoint(model).configuration
    image = np.random.default_rng(0).normal(5, 1, (1, 6, 18, 18)).astype(np.float32)
    rows, columns = np.mgrid[:18, :18]
    image[0, :, rows + columns < 15] = 0
    labels = np.zeros((6, 18, 18), dtype=np.uint8)
    labels[:, :4, :4] = 2  # in the air
    geometry = replace(make_geometry(image.shape[1:]), spacing_mm=(1.0, 1.0, 1.0))
    case = preprocess_array(image, geometry, configuration)
    found, _ = with_image_labels(case, labels, configuration)
    inside = (image[0] != 0) | (labels > 0)
    values = image[0][inside]
    assert np.allclose(found[0][inside], (values - values.mean()) / values.std(), atol=1e-4)
    assert np.all(found[0][~inside] == 0)


def test_a_second_stage_alone_says_what_it_needs(tmp_path):
    second, low = make_cascade(tmp_path)
    shutil.rmtree(low)
    with pytest.raises(InputError, match=r"second stage of a cascade and needs the model .*__low"):
        pipeline.predict([second], tmp_path, tmp_path / "out", device="cpu")


def test_a_recipe_brings_orientation_and_names(tmp_path):
    folder, _ = make_model(tmp_path)
    with pytest.raises(InputError, match="has 2 labels .* the recipe 24"):
        pipeline.import_model(folder, tmp_path / "x", recipe="totalsegmentator:291")
    assert not (tmp_path / "x").exists()
    pipeline.import_model(folder, tmp_path / "out", recipe="totalsegmentator:299")
    made = load_checkpoint(tmp_path / "out/fold_0/checkpoint_final.pt")
    assert made.configuration.orientation == "RAS"
    assert made.configuration.labels.class_names == ("body_trunc", "body_extremities")
    card = (tmp_path / "out/fold_0/MODEL_CARD.md").read_text()
    assert "| trained by | nnU-Net |" in card
    assert "| 2 | body_extremities |" in card


def test_cross_validations_and_predictions_in_a_result_folder_are_no_models(tmp_path):
    folder, _ = make_model(tmp_path)
    for name in ("crossval_results_folds_0_1_2_3_4", "predictions"):
        inside = folder / name
        inside.mkdir()
        for file in ("plans.json", "dataset.json"):
            shutil.copy(folder / file, inside / file)
    assert nnunet.choose_folder(tmp_path, None, tmp_path) == folder
    assert command.main(["nnunet", str(tmp_path), "-o", str(tmp_path / "ours")]) == 0


def test_a_half_imported_model_is_completed_and_never_used(tmp_path, monkeypatch, capsys):
    folder, _ = make_model(tmp_path)
    output = tmp_path / "ours"
    save = nnunet.save_checkpoint
    monkeypatch.setattr(
        nnunet, "save_checkpoint", lambda *given: (save(*given), (_ for _ in ()).throw(SystemExit))
    )
    with pytest.raises(SystemExit):
        command.main(["nnunet", str(folder), "-o", str(output)])
    with pytest.raises(InputError, match="half imported .* Run that command again"):
        find_models(output)
    monkeypatch.undo()
    assert command.main(["nnunet", str(folder), "-o", str(output)]) == 0
    assert find_models(output)


@pytest.mark.parametrize("name", ["..", "../../x", "/tmp/x", "a\\b", "a\nb"])
def test_a_stage_whose_name_is_a_path_is_refused(tmp_path, name):
    folder, _ = make_model(tmp_path)
    output = tmp_path / "ours"
    assert command.main(["nnunet", str(folder), "-o", str(output)]) == 0
    path = output / "fold_0" / "checkpoint_final.pt"
    content = torch.load(path, weights_only=True)
    for change in (
        {
            "configuration": {
                **content["configuration"],
                "previous": {"names": [name], "kind": "labels"},
            }
        },
        {"configuration": {**content["configuration"], "name": name}},
        {"provenance": {**content["provenance"], "fold": name}},
    ):
        torch.save({**content, **change}, path)
        with pytest.raises(CheckpointError, match="no name of a file"):
            load_checkpoint(path)
