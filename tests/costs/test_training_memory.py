"""The planner's estimate of a training's memory against the memory that a training takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from autoseg.costs.training_memory import (
    cached_bytes,
    count_parameters,
    trace_step,
    training_footprint,
)
from autoseg.planning.families import FAMILIES
from autoseg.planning.topology import make_topology
from autoseg.schema import serialise
from tests.conftest import ROOT, make_configuration

# The high-water mark of the process itself: ru_maxrss begins with that of the process that forked.
TRAIN = """
import sys
from pathlib import Path
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration
from autoseg.costs.step_time import measure_step_s
item = serialise.load(Configuration, Path(sys.argv[1]))
measure_step_s(item, device="cpu", repeats=2, limit_s=60)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024)
"""


def planned(architecture, patch, width, batch=2):
    family = FAMILIES[architecture]
    topology = make_topology((1.0,) * len(patch), patch)
    base = make_configuration()
    return replace(
        base,
        network=family.spec(topology, width, True),
        patch_size=topology.patch_size,
        batch_size=batch,
        training=family.training(replace(base.training, weight_average=0.0)),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak memory")
@pytest.mark.parametrize(
    ("architecture", "patch", "width"),
    [("plain_unet", (64, 64, 64), 32), ("swin_unetr", (64, 64, 64), 32)],
)
def test_the_estimate_is_within_a_fifth_of_what_a_step_takes(tmp_path, architecture, patch, width):
    item = planned(architecture, patch, width)
    serialise.save(item, tmp_path / "item.yaml")
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path / "item.yaml")],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    measured = int(done.stdout.split()[-1])
    assert training_footprint(item, "cpu") == pytest.approx(measured, rel=0.2)


def test_activations_grow_with_the_batch_and_parameters_do_not():
    one, two = (planned("plain_unet", (32, 32, 32), 16, batch) for batch in (2, 4))
    (parameters, first), (same, second) = (trace_step(item, "cpu") for item in (one, two))
    assert parameters == same == 4 * count_parameters(one)
    assert second - parameters == pytest.approx(2 * (first - parameters), rel=0.15)


def test_half_precision_takes_less_on_a_gpu():
    item = planned("plain_unet", (64, 64, 64), 16)
    assert trace_step(item, "cuda")[1] < 0.8 * trace_step(item, "cpu")[1]


def test_small_cases_that_stay_in_memory_count_up_to_a_limit():
    assert cached_bytes([2**20] * 100, [], 2**30) == 100 * 2**20
    assert cached_bytes([2**30], [], 2**30) == 0  # too large to be kept
    assert cached_bytes([2**20] * 100, [], 2**25) == 2**25
    assert cached_bytes([2**20] * 100, [2**20] * 100, 2**25) == 2**25 + 2**24
    assert cached_bytes([2**20] * 100, [2**20] * 100, 0) == 0
