from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoseg.checkpoint import Provenance, load_checkpoint
from autoseg.datasets.folder import read_dataset
from autoseg.errors import UsageError
from autoseg.preprocessing.store import Store, preprocess_cases
from autoseg.schema.plan import Configuration
from autoseg.training.trainer import Task, Trainer
from autoseg.workspace import Run
from tests.conftest import REGIONS, write_dataset

CASES = tuple(f"case_{index:02d}" for index in range(6))


def make_task(folder: Path, configuration: Configuration) -> Task:
    """A task on six tiny cases, preprocessed where that was not done yet."""
    dataset = folder / "Dataset001_Tiny"
    if not dataset.exists():
        write_dataset(dataset)
    store = folder / "store"
    preprocess_cases(read_dataset(dataset)[0].cases, {store: configuration}, workers=1)
    provenance = Provenance(
        dataset="Tiny",
        fold="0",
        train_cases=CASES[:4],
        val_cases=CASES[4:],
        file_ending=".nii.gz",
        steps=0,
        val_dice=None,
    )
    return Task(
        configuration=configuration,
        store=Store(store),
        train_cases=CASES[:4],
        val_cases=CASES[4:],
        provenance=provenance,
        run=Run(folder / "run"),
    )


def same_weights(first, second) -> bool:
    return all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_training_writes_models_history_and_a_plot(tmp_path, configuration):
    task = make_task(tmp_path, configuration)
    final = Trainer(task, device="cpu").fit()
    assert load_checkpoint(task.run.final).configuration == configuration
    assert same_weights(load_checkpoint(task.run.final), final)
    assert final.provenance.steps == 12
    with task.run.history.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert task.run.plot.read_bytes().startswith(b"\x89PNG")
    assert task.run.best.is_file()
    assert not list(task.run.folder.glob(".partial-*"))


@pytest.mark.parametrize(("augmentation", "workers"), [("standard", 3), ("nnunet", 1)])
def test_the_same_seed_gives_the_same_weights_whatever_the_workers(
    tmp_path, configuration, augmentation, workers
):
    plan = replace(configuration.training, augmentation=augmentation)
    configuration = replace(configuration, training=plan)
    one = Trainer(make_task(tmp_path / "a", configuration), device="cpu", workers=0).fit()
    two = Trainer(make_task(tmp_path / "b", configuration), device="cpu", workers=workers).fit()
    assert same_weights(one, two)
    other = replace(configuration, seed=8)
    three = Trainer(make_task(tmp_path / "c", other), device="cpu").fit()
    assert not same_weights(one, three)


@pytest.mark.parametrize(
    ("optimiser", "augmentation"), [("adamw", "standard"), ("sgd", "standard"), ("sgd", "nnunet")]
)
def test_a_resumed_training_ends_with_the_same_weights(
    tmp_path, configuration, optimiser, augmentation
):
    plan = replace(
        configuration.training, optimiser=optimiser, schedule="poly", augmentation=augmentation
    )
    configuration = replace(configuration, training=plan)
    whole = Trainer(make_task(tmp_path / "a", configuration), device="cpu").fit()
    task = make_task(tmp_path / "b", configuration)
    interrupted = Trainer(task, device="cpu")
    epoch = interrupted._epoch
    interrupted._epoch = lambda *given: (
        (_ for _ in ()).throw(KeyboardInterrupt) if interrupted.history else epoch(*given)
    )
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit()
    resumed = Trainer(task, device="cpu")
    resumed.resume()
    assert len(resumed.history) == 1
    assert same_weights(resumed.fit(), whole)


KILLED = """
import sys
from pathlib import Path
from dataclasses import replace
from tests.training.test_trainer import make_task
from tests.conftest import make_configuration
from autoseg.training.trainer import Trainer

configuration = make_configuration()
configuration = replace(configuration, training=replace(configuration.training, epochs=12))
trainer = Trainer(make_task(Path(sys.argv[1]), configuration), device="cpu")
if trainer.task.run.last.exists():
    trainer.resume()
trainer.fit()
"""


def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED]

    def start(folder: Path) -> subprocess.Popen:
        return subprocess.Popen([*command, str(folder)], env=environment, stderr=subprocess.PIPE)

    undisturbed = start(tmp_path / "a")
    assert undisturbed.wait() == 0, undisturbed.stderr.read().decode()
    run = Run(tmp_path / "b" / "run")
    victim = start(tmp_path / "b")
    deadline = time.monotonic() + 120
    while not run.last.exists() and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert run.last.exists()
    assert not run.final.exists()
    assert start(tmp_path / "b").wait() == 0
    assert same_weights(
        load_checkpoint(tmp_path / "a/run/checkpoint_final.pt"), load_checkpoint(run.final)
    )


def test_a_time_budget_is_kept(tmp_path, configuration):
    plan = replace(configuration.training, time_budget_s=6.0, epochs=4)
    task = make_task(tmp_path, replace(configuration, training=plan))
    trainer = Trainer(task, device="cpu")
    begun = time.perf_counter()
    trainer.fit()
    # The bound of the specification is 10 s; a training that ignored its budget would not end.
    assert 3 < time.perf_counter() - begun < 16
    assert trainer.history[-1].learning_rate < 0.5 * plan.learning_rate


def test_resuming_with_another_configuration_is_refused(tmp_path, configuration):
    Trainer(make_task(tmp_path, configuration), device="cpu").fit()
    other = Trainer(make_task(tmp_path, replace(configuration, batch_size=3)), device="cpu")
    with pytest.raises(UsageError, match="was trained with another configuration"):
        other.resume()


@pytest.mark.parametrize("kind", ["regions", "ignore", "2d", "no average"])
def test_variants_train(tmp_path, configuration, kind):
    plan = replace(configuration.training, epochs=1, steps_per_epoch=2)
    if kind == "regions":
        plan = replace(plan, loss="dice_binary_cross_entropy")
        configuration = replace(configuration, labels=REGIONS)
    elif kind == "ignore":
        configuration = replace(
            configuration,
            labels=replace(
                configuration.labels, classes=configuration.labels.classes[:1], ignore=2
            ),
        )
    elif kind == "2d":
        network = replace(
            configuration.network, kernel_sizes=((3, 3),) * 3, strides=((1, 1), (2, 2), (2, 2))
        )
        configuration = replace(configuration, network=network, patch_size=(24, 16))
        plan = replace(plan, mirror_axes=(0,))
    else:
        plan = replace(plan, weight_average=0.0)
    trainer = Trainer(make_task(tmp_path, replace(configuration, training=plan)), device="cpu")
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    final = trainer.fit()
    assert all(torch.isfinite(value).all() for value in final.weights.values())
    assert final.provenance.steps == 2
    still = [name for name, value in before.items() if torch.equal(value, final.weights[name])]
    # The coarsest level of the deep supervision has no weight in the loss; all else has learnt.
    assert all("heads" in name for name in still), still
    assert len(still) <= 2


def test_a_training_starts_from_initial_weights(tmp_path, configuration):
    plan = replace(configuration.training, epochs=1, steps_per_epoch=1, learning_rate=0.0)
    configuration = replace(configuration, training=plan)
    task = make_task(tmp_path, configuration)
    other = Trainer(make_task(tmp_path, replace(configuration, seed=99)), device="cpu")
    weights = {name: value.clone() for name, value in other.network.state_dict().items()}
    final = Trainer(replace(task, initial_weights=weights), device="cpu").fit()
    assert all(torch.equal(final.weights[name], weights[name]) for name in weights)


def test_an_interruption_between_two_files_is_completed_by_resume(tmp_path, configuration):
    task = make_task(tmp_path, configuration)
    trainer = Trainer(task, device="cpu")
    save = trainer._save
    trainer._save = lambda **given: (save(**given), (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    best = load_checkpoint(task.run.best)
    task.run.best.unlink()
    task.run.history.unlink()
    Trainer(task, device="cpu").resume()
    assert same_weights(load_checkpoint(task.run.best), best)
    assert len(task.run.history.read_text().splitlines()) == 2


def test_a_busy_machine_is_said(tmp_path, configuration, caplog):
    plan = replace(configuration.training, time_budget_s=1.0, epochs=2, steps_per_epoch=100_000)
    Trainer(make_task(tmp_path, replace(configuration, training=plan)), device="cpu").fit()
    assert "The plan expected 200000 steps" in caplog.text
    assert "--time-budget" in caplog.text
