"""The READMEs' examples of a loss and of a target, installed from outside and trained with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autoseg.costs.training_memory import trace_step
from autoseg.losses import LOSSES
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.targets import TARGETS
from autoseg.training.trainer import Trainer
from tests.conftest import ROOT, SCHEME
from tests.tools.plugin import forget_plugins, install_example
from tests.training.test_trainer import make_task

IGNORING = LabelScheme(classes=(LabelClass(name="organ", values=(1,)),), ignore=2)


def train_a_step(folder, configuration, **training):
    """A training of one step: its final model and its history."""
    plan = replace(configuration.training, epochs=1, steps_per_epoch=1, **training)
    trainer = Trainer(
        make_task(folder, replace(configuration, training=plan)), device="cpu", workers=0
    )
    model = trainer.fit()
    assert model.provenance.steps == 1
    return model, trainer.history


@pytest.mark.parametrize("labels", [SCHEME, IGNORING], ids=["labels", "ignore"])
def test_the_loss_of_the_readme_trains_a_step(tmp_path, configuration, monkeypatch, labels):
    name = install_example(ROOT / "autoseg/losses/README.md", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins(LOSSES, monkeypatch)
    configuration = replace(configuration, labels=labels)
    hard, hard_history = train_a_step(tmp_path / "hard", configuration, loss=name)
    soft, soft_history = train_a_step(tmp_path / "soft", configuration, loss=name, target="soft")
    assert hard.configuration.training.loss == name
    assert hard_history[0].train_loss > 0
    # There is one rater, so that his shares are his labels.
    assert soft_history[0].train_loss == pytest.approx(hard_history[0].train_loss, rel=1e-5)
    assert soft_history[0].val_dice == pytest.approx(hard_history[0].val_dice, rel=1e-2)
    for key, weights in hard.weights.items():
        assert torch.allclose(weights, soft.weights[key], atol=1e-4)


def test_the_focal_loss_of_the_readme_is_that_of_its_formula(tmp_path, monkeypatch):
    install_example(ROOT / "autoseg/losses/README.md", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins(LOSSES, monkeypatch)
    focal = LOSSES["focal"](None)
    value = focal(torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 1]]]), None)
    assert float(value) == pytest.approx(0.25 * 0.6931472)


def test_the_target_of_the_readme_trains_a_step(tmp_path, configuration, monkeypatch):
    name = install_example(ROOT / "autoseg/targets/README.md", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    forget_plugins(TARGETS, monkeypatch)
    named, _ = train_a_step(tmp_path / "a", configuration, target=name)
    majority, _ = train_a_step(tmp_path / "b", configuration)
    # There is one rater: the first one is the majority.
    assert all(torch.equal(named.weights[key], majority.weights[key]) for key in named.weights)
    assert trace_step(configuration, "cpu") == trace_step(named.configuration, "cpu")
