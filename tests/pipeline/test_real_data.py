"""The whole way on real data: two-dimensional, anisotropic, many labels, several raters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from autoseg.cli import umbrella
from autoseg.images.files import read_image
from autoseg.schema import serialise
from autoseg.schema.plan import Plan
from dataset_conversion import DatasetWriter

pytestmark = pytest.mark.data


def run(dataset: Path, workspace: Path, *more: str, seconds: int = 15) -> dict:
    """Runs everything for some seconds and returns the summary of the first fold."""
    arguments = ["run", str(dataset), "--workspace", str(workspace), "--device", "cpu"]
    code = umbrella.main([*arguments, "--time-budget", f"{seconds}s", *more])
    assert code == 0
    (summary,) = workspace.glob("runs/*/fold_0/validation/summary.json")
    return json.loads(summary.read_text())


def thinned(source: Path, target: Path, cases: list[str]) -> Path:
    """A data set with some of the cases, as links."""
    description = json.loads((source / "dataset.json").read_text())
    description["numTraining"] = len(cases)
    for folder in [item for item in source.iterdir() if item.is_dir()]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in files:
            stem = path.name.split(".")[0]
            if any(stem == case or stem[:-5] == case for case in cases):
                link = target / path.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
    (target / "dataset.json").write_text(json.dumps(description))
    return target


def names(source: Path, step: int) -> list[str]:
    ending = json.loads((source / "dataset.json").read_text())["file_ending"]
    found = sorted(path.name[: -len(ending) - 5] for path in (source / "imagesTr").iterdir())
    return found[::step]


def test_colour_images(real_data, tmp_path):
    source = real_data / "Dataset104_Nuclei"
    small = thinned(source, tmp_path / "Dataset104_Nuclei", names(source, 4))
    summary = run(small, tmp_path / "ws")
    assert summary["mean"]["dice"] > 0.3
    plan = serialise.load(Plan, tmp_path / "ws/plan.yaml")
    assert list(plan.configurations) == ["2d"]
    assert len(plan.configurations["2d"].channels) == 3
    case = next(iter(summary["cases"]))
    prediction, geometry = read_image(
        next(tmp_path.glob(f"ws/runs/2d/fold_0/validation/{case}.png"))
    )
    assert prediction.dtype == np.uint8
    assert geometry.shape == read_image(source / f"imagesTr/{case}_0000.png")[1].shape


def test_frames_of_varying_size_some_without_a_lesion(real_data, tmp_path):
    source = real_data / "Dataset105_BreastUS"
    small = thinned(source, tmp_path / "Dataset105_BreastUS", names(source, 3))
    summary = run(small, tmp_path / "ws")
    normal = [case for case in summary["cases"] if case.startswith("normal")]
    assert normal
    for case in normal:
        scores = summary["cases"][case]["lesion"]
        assert scores["reference_volume"] == 0
        assert scores["dice"] is None or scores["dice"] == 0


def test_anisotropic_volumes_of_the_same_patient_stay_together(real_data, tmp_path):
    source = real_data / "Dataset027_ACDC"
    cases = [case for case in names(source, 1)][:12]
    small = thinned(source, tmp_path / "Dataset027_ACDC", cases)
    summary = run(small, tmp_path / "ws", seconds=20)
    assert set(summary["mean_per_class"]) == {"RV", "MYO", "LV"}
    plan = serialise.load(Plan, tmp_path / "ws/plan.yaml")
    network = plan.configurations["3d_fullres"].network
    assert network.kernel_sizes[0] == (1, 3, 3)
    assert network.strides[1] == (1, 2, 2)
    for fold in json.loads((tmp_path / "ws/splits_final.json").read_text()):
        patients = [{case.split("_")[0] for case in fold[part]} for part in ("train", "val")]
        assert not patients[0] & patients[1]


def test_many_labels_whose_values_are_not_consecutive(real_data, tmp_path):
    source = real_data / "ixi_dlmuse"
    labels = sorted(source.glob("dlmuse_*"))
    images = {path.name.split("_")[1]: path for path in source.glob("nifti_*")}
    maps = {path.name.split("_")[1]: sitk.ReadImage(str(path)) for path in labels}
    values = sorted(
        {int(v) for item in maps.values() for v in np.unique(sitk.GetArrayViewFromImage(item))}
    )
    assert values != list(range(len(values)))
    writer = DatasetWriter(
        tmp_path / "Dataset200_Muse",
        channel_names=["T1"],
        labels={"background": 0, **{f"roi_{value}": value for value in values if value}},
    )
    for name, item in maps.items():
        writer.add(
            name.replace("-", ""),
            [sitk.ReadImage(str(images[name]))],
            sitk.Cast(item, sitk.sitkUInt16),
        )
    writer.finish()
    summary = run(tmp_path / "Dataset200_Muse", tmp_path / "ws", seconds=20)
    assert len(summary["mean_per_class"]) == len(values) - 1
    (prediction,) = [
        path for path in (tmp_path / "ws").glob("runs/3d_fullres/fold_0/validation/*.nii.gz")
    ][:1]
    assert set(np.unique(read_image(prediction)[0])) <= set(values)


def test_several_raters(real_data, tmp_path):
    source = real_data / "Dataset102_LIDC3D"
    small = thinned(source, tmp_path / "Dataset102_LIDC3D", names(source, 5))
    summary = run(small, tmp_path / "ws", "--configuration", "2d", seconds=10)
    assert set(summary["mean_per_class"]) == {"nodule"}
    assert list((tmp_path / "ws/references").glob("*.nii.gz"))


@pytest.mark.parametrize("configuration", ["2d", "2.5d", "3d_fullres_dformer"])
def test_scribbles_are_an_ignore_label(real_data, tmp_path, configuration):
    source = real_data / "Dataset027_ACDC"
    small = thinned(source, tmp_path / "Dataset027_Scribbles", names(source, 4))
    (small / "labelsTr").rename(small / "full")
    (small / "scribblesTr").rename(small / "labelsTr")
    description = json.loads((small / "dataset.json").read_text())
    description["labels"]["ignore"] = 4
    (small / "dataset.json").write_text(json.dumps(description))
    summary = run(small, tmp_path / "ws", "--configuration", configuration, seconds=10)
    assert set(summary["mean_per_class"]) == {"RV", "MYO", "LV"}


def test_one_command_runs_a_cascade_that_little_memory_forces(real_data, tmp_path):
    source = real_data / "Dataset102_LIDC3D"
    small = thinned(source, tmp_path / "Dataset102_LIDC3D", names(source, 8))
    options = ["--configuration", "3d_cascade_fullres", "--memory", "600MB", "--num-folds", "2"]
    summary = run(small, tmp_path / "ws", *options, seconds=5)
    assert set(summary["mean_per_class"]) == {"nodule"}
    plan = serialise.load(Plan, tmp_path / "ws/plan.yaml")
    lowres, second = (plan.configurations[name] for name in ("3d_lowres", "3d_cascade_fullres"))
    assert min(lowres.spacing_mm) > min(second.spacing_mm)
    models = sorted((tmp_path / "ws/runs").glob("*/fold_*/checkpoint_final.pt"))
    assert [path.parent.parent.name for path in models] == [
        "3d_cascade_fullres",
        "3d_lowres",
        "3d_lowres",
    ]
