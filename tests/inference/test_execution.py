"""Number formats and layouts: how far they are from float32, and that the fastest is remembered."""

from __future__ import annotations

import json

import pytest
import torch

from autoseg.inference import execution
from autoseg.inference.execution import Execution, candidates, choose, usual
from tests.inference.test_predictor import model

CPU = torch.device("cpu")


def softmax(way, checkpoint, image):
    module = way.prepare(checkpoint.build(), CPU, 3)
    with torch.inference_mode():
        return way.run(module, image).float().softmax(1)


@pytest.mark.parametrize(
    ("way", "limit"),
    [
        (Execution(channels_last=True), 1e-5),
        (Execution(format="bfloat16"), 5e-2),
        (Execution(format="bfloat16", channels_last=True), 5e-2),
    ],
)
def test_every_way_is_as_near_to_float32_as_its_numbers_allow(way, limit):
    checkpoint = model()
    image = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = softmax(Execution(), checkpoint, image)
    found = softmax(way, checkpoint, image)
    assert (found - expected).abs().max() < limit
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 1 - limit


@pytest.mark.slow
def test_a_compiled_network_is_as_near_to_float32():
    checkpoint = model()
    image = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    try:
        found = softmax(Execution(compiled=True), checkpoint, image)
    except Exception as error:  # noqa: BLE001, no compiler on this machine
        pytest.skip(f"torch.compile does not work here: {error}"[:200])
    assert (found - softmax(Execution(), checkpoint, image)).abs().max() < 1e-4


def test_nothing_is_measured_unless_it_is_asked_for(tmp_path):
    checkpoint = model()
    for choice, expected in (
        ("auto", "float32"),
        ("float32", "float32"),
        ("mixed", "bfloat16"),
    ):
        way = choose(checkpoint.build, checkpoint.configuration, CPU, choice, tmp_path)
        assert way.format == expected
    assert not list(tmp_path.iterdir())


def test_the_fastest_is_measured_once_and_remembered(tmp_path, monkeypatch):
    checkpoint = model()
    calls = []

    def measure(build, configuration, device, ways):
        calls.append(len(ways))
        return {way: 0.1 if way.format == "bfloat16" and way.channels_last else 0.3 for way in ways}

    monkeypatch.setattr(execution, "measure", measure)
    for _ in range(2):
        way = choose(checkpoint.build, checkpoint.configuration, CPU, "fastest", tmp_path)
        assert way.format == "bfloat16"
    assert calls == [len(candidates(CPU))]
    (path,) = tmp_path.iterdir()
    assert len(json.loads(path.read_text())["seconds"]) == 8
    path.write_text("{")
    choose(checkpoint.build, checkpoint.configuration, CPU, "fastest", tmp_path)
    assert len(calls) == 2


def test_what_is_hardly_faster_is_not_taken(tmp_path, monkeypatch):
    checkpoint = model()
    monkeypatch.setattr(
        execution,
        "measure",
        lambda build, configuration, device, ways: {
            way: 0.95 if way.format == "bfloat16" else 1.0 for way in ways
        },
    )
    way = choose(checkpoint.build, checkpoint.configuration, CPU, "fastest", tmp_path)
    assert way == usual(CPU)


def test_ways_that_do_not_work_are_left_out(tmp_path, monkeypatch):
    checkpoint = model()
    real = Execution.run

    def run(self, module, tiles):
        if self.compiled or self.format == "bfloat16":
            raise RuntimeError("no")
        return real(self, module, tiles)

    monkeypatch.setattr(Execution, "run", run)
    way = choose(checkpoint.build, checkpoint.configuration, CPU, "fastest", tmp_path)
    assert way.format == "float32"
    (path,) = tmp_path.iterdir()
    assert len(json.loads(path.read_text())["seconds"]) == 2
