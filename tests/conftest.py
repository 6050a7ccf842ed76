"""Shared fixtures: tiny synthetic data sets, and the real ones where they are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from autoseg.schema.geometry import Geometry
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.plan import ChannelPlan, Configuration, NetworkSpec, TrainingPlan
from dataset_conversion import DatasetWriter
from dataset_conversion.synthetic import synthetic_case

ROOT = Path(__file__).resolve().parents[1]

# How long a draw takes depends on what else the machine does, and on tables made at the first run.
settings.register_profile("autoseg", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("autoseg")


def shared_folder(name: str) -> Path | None:
    """A folder of the shared material: beside AUTOSEG_TEST_DATA, or ../shared."""
    given = os.environ.get("AUTOSEG_TEST_DATA")
    data = Path(given) if given else ROOT.parent / "shared" / "data"
    folder = data if name == "data" else data.parent / name
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets."""
    folder = shared_folder("data")
    if folder is None:
        pytest.skip("no real data: set AUTOSEG_TEST_DATA or put it at ../shared/data")
    return folder


@pytest.fixture(scope="session")
def reference_models() -> Path:
    """Folder of nnU-Net's own plans and models."""
    folder = shared_folder("models")
    if folder is None:
        pytest.skip("no reference models beside the real data")
    return folder


def write_dataset(root: Path, *, num_cases: int = 6, shape=(16, 24, 20), ending=".nii.gz") -> Path:
    """Writes a tiny 3D data set with two labels."""
    writer = DatasetWriter(
        root,
        channel_names=["MRI"],
        labels={"background": 0, "organ": 1, "vessel": 2},
        file_ending=ending,
    )
    for index in range(num_cases):
        image, labels = synthetic_case(np.random.default_rng(index), shape)
        writer.add(f"case_{index:02d}", [image], labels, spacing_mm=(1.5, 1, 1))
    writer.finish()
    return root


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Path:
    """Six 3D cases with two labels."""
    return write_dataset(tmp_path / "Dataset001_Tiny")


SCHEME = LabelScheme(
    classes=(LabelClass(name="organ", values=(1,)), LabelClass(name="vessel", values=(2,)))
)
REGIONS = LabelScheme(
    classes=(LabelClass(name="whole", values=(1, 2)), LabelClass(name="core", values=(2,))),
    regions_order=(1, 2),
)


def make_geometry(shape: tuple[int, int, int]) -> Geometry:
    """An image's geometry with thick slices."""
    return Geometry(
        shape=shape,
        spacing_mm=(1.5, 1.0, 1.0),
        origin_mm=(0.0, 0.0, 0.0),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def make_configuration(**changes) -> Configuration:
    """A small 3D configuration."""
    base = Configuration(
        name="3d_fullres",
        spacing_mm=(1.5, 1.0, 1.0),
        orientation=None,
        transpose=(0, 1, 2),
        channels=(ChannelPlan(name="MRI", normalisation="zscore", use_mask=False),),
        labels=SCHEME,
        patch_size=(16, 24, 16),
        batch_size=2,
        median_shape=(16.0, 24.0, 20.0),
        object_mm=12.0,
        network=NetworkSpec(
            architecture="plain_unet",
            features=(4, 8, 16),
            kernel_sizes=((3, 3, 3),) * 3,
            strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
            encoder_blocks=(1, 1, 1),
            decoder_blocks=(1, 1),
        ),
        training=TrainingPlan(
            loss="dice_cross_entropy",
            batch_dice=True,
            deep_supervision=True,
            optimiser="adamw",
            learning_rate=5e-3,
            weight_decay=0.01,
            momentum=0.9,
            schedule="one_cycle",
            epochs=3,
            steps_per_epoch=4,
            time_budget_s=None,
            foreground_fraction=0.5,
            augmentation="standard",
            mirror_axes=(2,),
            gradient_clip=12.0,
            weight_average=0.9,
        ),
        memory_bytes=10**9,
        seed=7,
    )
    return replace(base, **changes)


@pytest.fixture
def configuration() -> Configuration:
    """A small 3D configuration."""
    return make_configuration()
