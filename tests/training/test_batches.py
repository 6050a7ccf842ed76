from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from autoseg.costs.batch_shapes import batch_shapes
from autoseg.datasets.folder import read_dataset
from autoseg.preprocessing.store import Store, preprocess_cases
from autoseg.schema.labels import LabelScheme
from autoseg.targets import TARGETS
from autoseg.training.batches import BatchMaker
from autoseg.training.patches import PatchSampler
from dataset_conversion import DatasetWriter
from tests.conftest import REGIONS, SCHEME, make_configuration

IGNORING = LabelScheme(classes=SCHEME.classes[:1], ignore=2)
SHAPE = (16, 24, 16)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four cases of three raters, each of whom left some out; a rater paints a box of his own."""
    writer = DatasetWriter(
        tmp_path_factory.mktemp("data") / "Dataset001_Raters",
        channel_names=["MRI"],
        labels={"background": 0, "organ": 1, "vessel": 2},
        raters=["r0", "r1", "r2"],
    )
    rng = np.random.default_rng(0)
    for case in range(4):
        maps = {}
        for rater in range(3):
            if case == rater:
                continue
            labels = np.zeros(SHAPE, dtype=np.uint8)
            labels[4:12, 6:18, 3 + rater : 9 + rater] = 1
            labels[6:9, 8:12, 4 : 6 + rater] = 2
            maps[f"r{rater}"] = labels
        image = rng.uniform(1, 2, SHAPE).astype(np.float32)
        writer.add(f"case_{case}", [image], raters=maps, spacing_mm=(1.5, 1, 1))
    writer.finish()
    return read_dataset(writer.root)[0]


def maker(dataset, folder, configuration, *, augment):
    preprocess_cases(dataset.cases, {folder: configuration}, workers=1)
    names = [case.identifier for case in dataset.cases]
    sampler = PatchSampler(Store(folder), names, configuration)
    return BatchMaker(sampler, configuration, torch.device("cpu"), augment=augment)


def planned(target, **changes):
    configuration = make_configuration(batch_size=6, **changes)
    training = replace(configuration.training, target=target)
    return replace(configuration, training=training)


@pytest.mark.parametrize("labels", [SCHEME, REGIONS, IGNORING], ids=["labels", "regions", "ignore"])
@pytest.mark.parametrize("target", list(TARGETS))
def test_batches_look_as_their_costs_are_found_with(dataset, tmp_path, target, labels):
    configuration = planned(target, labels=labels)
    batch = maker(dataset, tmp_path, configuration, augment=True).make(np.random.default_rng(0))
    shapes = batch_shapes(configuration)
    assert (tuple(batch.target.shape), batch.target.dtype) == (shapes.target, shapes.dtype)
    found = None if batch.valid_mask is None else tuple(batch.valid_mask.shape)
    assert found == shapes.valid_mask == ((6, 1, *SHAPE) if labels is IGNORING else None)
    blank, mask = shapes.blank(torch.device("cpu"))
    assert blank.shape == batch.target.shape
    assert (mask is None) == (batch.valid_mask is None)


def test_a_patch_gets_the_target_of_its_own_raters(dataset, tmp_path):
    configuration = planned("soft")
    made = maker(dataset, tmp_path, configuration, augment=False)
    batch = made.make(np.random.default_rng(0))
    store, seen = made.sampler.store, set()
    for image, target in zip(batch.image, batch.target, strict=True):
        (name,) = (
            case.identifier
            for case in dataset.cases
            if np.array_equal(store.read(case.identifier).image, image)
        )
        labels = store.read(name).labels
        seen.add(len(labels))
        for channel in range(3):
            assert np.allclose(target[channel], (labels == channel).mean(0))
    assert seen == {2, 3}


def test_augmented_majorities_are_majorities_of_augmented_raters(dataset, tmp_path):
    hard = maker(dataset, tmp_path, planned("majority"), augment=True)
    soft = maker(dataset, tmp_path, planned("soft"), augment=True)
    for seed in range(3):
        first, second = (item.make(np.random.default_rng(seed)) for item in (hard, soft))
        assert torch.equal(first.image, second.image)
        sure = second.target.amax(1) > 0.5
        assert sure.float().mean() > 0.9
        assert (second.target.argmax(1) == first.target)[sure].all()


def test_a_random_rater_is_drawn_from_the_seed_of_the_batch(dataset, tmp_path):
    made = maker(dataset, tmp_path, planned("random_rater"), augment=False)
    same = [made.make(np.random.default_rng(4)).target for _ in range(2)]
    assert torch.equal(*same)
    targets = [made.make(np.random.default_rng(seed)).target for seed in range(12)]
    assert len({target[0].sum().item() for target in targets}) > 1
