"""batchgenerators' augmenters: the seed of a batch decides everything, and processes end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoseg.augmentation.nnunet_scheme import nnunet_chain
from autoseg.errors import AutosegError
from autoseg.preprocessing.stage_store import StageStore
from autoseg.schema.plan import Configuration, PreviousStage
from autoseg.training.augmenter import Augmenter, BatchSource, batch_source
from autoseg.training.batches import Batch
from autoseg.training.patch_loader import Augment, PatchLoader
from autoseg.training.patches import PatchSampler
from tests.conftest import REGIONS
from tests.training.test_trainer import CASES, make_task

CPU = torch.device("cpu")
SEEDS = [(7, 0, index) for index in range(6)]


def with_nnunet(configuration: Configuration) -> Configuration:
    training = replace(configuration.training, augmentation="nnunet")
    return replace(configuration, training=training)


@contextmanager
def source_of(folder: Path, configuration: Configuration, workers: int) -> Iterator[BatchSource]:
    task = make_task(folder, configuration)
    sampler = PatchSampler(task.store, task.train_cases, configuration)
    with batch_source(sampler, configuration, CPU, workers) as source:
        yield source


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(one.image, two.image) and torch.equal(one.target, two.target)
        for one, two in zip(first, second, strict=True)
    )


def test_the_seed_of_a_batch_decides_everything(tmp_path, configuration):
    with source_of(tmp_path, with_nnunet(configuration), 0) as source:
        batches = list(source(SEEDS))
        assert same(list(source(SEEDS[3:])), batches[3:])
        assert not torch.equal(batches[0].image, batches[1].image)
        assert batches[0].image.shape == (2, 1, 16, 24, 16)
        assert batches[0].image.dtype == torch.float32
        assert batches[0].target.shape == (2, 16, 24, 16)


def test_the_callers_random_numbers_are_left_alone(tmp_path, configuration):
    with source_of(tmp_path, with_nnunet(configuration), 0) as source:
        np.random.seed(1)
        random.seed(1)
        list(source(SEEDS[:2]))
        found = np.random.random(), random.random()
    np.random.seed(1)
    random.seed(1)
    assert found == (np.random.random(), random.random())


def test_processes_make_the_same_batches_in_the_same_order(tmp_path, configuration, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    configuration = with_nnunet(configuration)
    with source_of(tmp_path, configuration, 0) as source:
        expected = list(source(SEEDS))
    with source_of(tmp_path, configuration, 2) as source:
        assert same(list(source(SEEDS)), expected)
        # An epoch that ends early gives up what was made ahead; the next one is not disturbed.
        early = source(SEEDS)
        assert same([next(early)], expected[:1])
        early.close()
        assert same(list(source(SEEDS[2:5])), expected[2:5])
        # Signals to the training's group are not for them.
        groups = [os.getpgid(child.pid) for child in multiprocessing.active_children()]
        assert len(groups) == 2
        assert os.getpgid(0) not in groups
    assert not multiprocessing.active_children()
    assert logging.root.handlers == []  # another one would repeat what we log


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_that_was_killed_is_named_as_the_cause(tmp_path, configuration):
    configuration = with_nnunet(configuration)
    task = make_task(tmp_path, configuration)
    sampler = PatchSampler(task.store, task.train_cases, configuration)
    augmenter = Augmenter(sampler, configuration, nnunet_chain(configuration), CPU, 1)
    try:
        batches = augmenter.batches((7, 0, index) for index in range(100))
        next(batches)
        os.kill(augmenter._augmenter._processes[0].pid, signal.SIGKILL)
        with pytest.raises(AutosegError, match="for lack of memory.*--workers 1"):
            list(batches)
    finally:
        augmenter.close()


def test_a_fault_of_the_data_arrives_as_its_message(tmp_path, configuration):
    with source_of(tmp_path, with_nnunet(configuration), 0) as source:
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        with pytest.raises(AutosegError, match="case_0.: not preprocessed.*Run autoseg_plan again"):
            next(source(SEEDS))


def test_regions_become_masks_and_the_ignore_label_is_left_out(tmp_path, configuration):
    regions = replace(configuration, labels=REGIONS)
    with source_of(tmp_path / "a", with_nnunet(regions), 0) as source:
        for batch in source(SEEDS):
            whole, core = batch.target.unbind(1)
            assert batch.target.dtype == torch.bool
            assert not (core & ~whole).any()
        assert core.any()
    labels = replace(configuration.labels, classes=configuration.labels.classes[:1], ignore=2)
    with source_of(tmp_path / "b", with_nnunet(replace(configuration, labels=labels)), 0) as source:
        masked = 0
        for batch in source(SEEDS):
            assert set(batch.target.unique().tolist()) <= {0, 1}
            masked += int((~batch.valid_mask).sum())
        assert masked > 0


def test_labels_of_a_previous_stage_move_with_the_image(tmp_path, configuration):
    stage = PreviousStage(names=("3d_lowres",), kind="labels")
    configuration = with_nnunet(replace(configuration, previous=stage))
    task = make_task(tmp_path, configuration)
    previous = StageStore(tmp_path / "previous")
    for name in CASES:
        previous.write(name, task.store.read(name).labels[:1], "")
    sampler = PatchSampler(task.store, task.train_cases, configuration, previous)
    exact = 0
    with batch_source(sampler, configuration, CPU, 0) as source:
        for batch in source([(7, 0, index) for index in range(20)]):
            assert batch.image.shape[1] == 3
            masks = batch.image[:, 1:]
            assert set(masks.unique().tolist()) <= {0, 1}
            for sample, target in zip(masks, batch.target, strict=True):
                expected = torch.stack([target == index for index in (1, 2)])
                exact += torch.equal(sample.bool(), expected)
    assert 16 <= exact <= 36  # the others were disturbed


def test_probabilities_of_previous_stages_replace_the_image(tmp_path, configuration):
    stage = PreviousStage(names=("2d",), kind="probabilities")
    configuration = with_nnunet(replace(configuration, previous=stage))
    task = make_task(tmp_path, configuration)
    previous = StageStore(tmp_path / "previous")
    for name in CASES:
        shape = task.store.read(name).shape
        previous.write(name, np.full((3, *shape), 0.25, np.float32), "")
    sampler = PatchSampler(task.store, task.train_cases, configuration, previous)
    with batch_source(sampler, configuration, CPU, 0) as source:
        (batch,) = source(SEEDS[:1])
    assert batch.image.shape[1] == 3
    assert batch.image.max() == 0.25


def test_what_lies_outside_the_mask_is_zero_and_background(tmp_path, configuration):
    channel = replace(configuration.channels[0], use_mask=True)
    configuration = replace(configuration, channels=(channel,))
    task = make_task(tmp_path, configuration)
    sampler = PatchSampler(task.store, task.train_cases, configuration)
    chain = nnunet_chain(configuration)
    loader = PatchLoader(sampler, configuration, chain, ())
    samples = list(loader._read(np.random.default_rng(0)))
    for sample in samples:
        image, seg = sample["data"][0, 0], sample["seg"][0, 0]
        assert ((seg == -1) == ((np.abs(image) <= 1e-3) & (seg <= 0))).all()
        assert (seg == -1).any()
    augment = Augment(configuration, chain)
    done = augment(samples=samples, generator=np.random.default_rng(0))
    assert all(raters.max() <= 2 for raters in done["raters"])


def test_cases_may_have_different_numbers_of_raters(tmp_path, configuration):
    configuration = with_nnunet(
        replace(configuration, training=replace(configuration.training, target="random_rater"))
    )
    task = make_task(tmp_path, configuration)
    sampler = PatchSampler(task.store, task.train_cases, configuration)
    read = sampler.read

    def two_raters_now_and_then(name, *given):
        patch = read(name, *given)
        if name == CASES[0]:
            return patch
        empty = np.zeros_like(patch.labels)
        return replace(patch, labels=np.concatenate([patch.labels, empty]))

    sampler.read = two_raters_now_and_then
    seeds = [(7, 0, index) for index in range(10)]
    with batch_source(sampler, configuration, CPU, 0) as source:
        batches = list(source(seeds))
        assert same(list(source(seeds)), batches)
    empty = [not sample.any() for batch in batches for sample in batch.target]
    assert 0 < sum(empty) < len(empty)


ORPHANS = """
import sys, time
from pathlib import Path
from tests.conftest import make_configuration
from tests.training.test_augmenter import SEEDS, source_of, with_nnunet
import multiprocessing

if __name__ == "__main__":
    with source_of(Path(sys.argv[1]), with_nnunet(make_configuration()), 1) as source:
        next(source(SEEDS))
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(100)
"""


def is_running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_outlives_a_training_that_was_killed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", ORPHANS, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as training:
        children = [int(number) for number in training.stdout.readline().split()]
        assert len(children) == 1
        assert all(map(is_running, children))
        training.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, children))
