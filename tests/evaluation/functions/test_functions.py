"""The functions and the table of metrics say the same."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

import evaluation
from evaluation import functions
from evaluation.functions.arrays import calibrate
from evaluation.measures.masks import MaskPair
from evaluation.measures.rater_case import RaterCase, make_soft
from evaluation.metrics import METRICS
from evaluation.settings import Settings

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
DEFAULTS = {name: getattr(Settings(), name) for name in FIELDS}
NOT_OF_ARRAYS = {"tolerances_mm"}
"""Settings of named classes, which arrays have not."""
OF_ITSELF = {"ace": {"adaptive"}}
"""Settings that a metric chooses itself."""
SPACING = (2.0, 1.0, 0.5)
ARRAYS = {
    "of_masks": ("reference", "prediction", "spacing_mm"),
    "of_probabilities": ("reference", "probabilities"),
    "of_raters": ("raters", "prediction", "probabilities", "spacing_mm"),
}


def kind_of(metric):
    return next(kind for kind in ARRAYS if getattr(metric, kind) is not None)


def settings_of(name):
    parameters = inspect.signature(getattr(evaluation, name)).parameters.values()
    return {item.name: item for item in parameters if item.kind is item.KEYWORD_ONLY}


def masks():
    first, second = np.zeros((2, 6, 12, 12), dtype=bool)
    first[1:5, 1:6, 1:6] = first[3, 9:11, 9:11] = True
    second[2:5, 2:7, 1:6] = second[1, 9, 2] = True
    return first, second


def measures(kind):
    """What metrics of a kind are computed from: full, and with either or both masks empty."""
    first, second = masks()
    empty = np.zeros_like(first)
    if kind == "of_masks":
        given = ((first, second), (first, empty), (empty, second), (empty, empty))
        return [MaskPair(*pair, SPACING) for pair in given]
    soft = np.clip(second * 0.6 + first * 0.3 + 0.05, 0, 1).astype(np.float32)
    if kind == "of_raters":
        raters = [first, second, first & second]
        return [
            RaterCase(raters, second, soft=make_soft(soft)),
            RaterCase([empty, empty], empty, soft=make_soft(soft * 0)),
        ]
    regions = [Settings(region=region) for region in ("image", "box", "band")]
    both = np.stack((1 - soft, soft))
    found = [calibrate(first.astype(int), both, item) for item in regions]
    found[0].regions.update(found[1].regions | found[2].regions)
    for part, *others in zip(*(item.classes for item in found), strict=True):
        part.regions.update({k: v for other in others for k, v in other.regions.items()})
    return [found[0]]


class Reading(Settings):
    """Settings that know what was read of them."""

    read: typing.ClassVar[set[str]] = set()

    def __getattribute__(self, name):
        caller = sys._getframe(1).f_code.co_name
        if name in FIELDS and caller not in ("__post_init__", "replace", "_replace"):
            Reading.read.add(name)
        return super().__getattribute__(name)


def test_every_metric_of_the_table_is_a_function_of_the_package():
    assert functions.__all__ == list(METRICS)
    for name in METRICS:
        assert getattr(evaluation, name) is getattr(functions, name)
        assert name in evaluation.__all__


def test_type_checkers_are_told_that_the_package_has_types():
    assert (Path(evaluation.__file__).parent / "py.typed").is_file()


def test_the_package_makes_up_no_names():
    assert not hasattr(evaluation, "__getattr__")
    with pytest.raises(AttributeError):
        _ = evaluation.dise


@pytest.mark.parametrize("name", METRICS)
def test_a_function_has_the_arrays_of_its_kind_and_types(name):
    function, metric = getattr(evaluation, name), METRICS[name]
    signature = inspect.signature(function)
    arrays = [
        item.name for item in signature.parameters.values() if item.kind is not item.KEYWORD_ONLY
    ]
    assert tuple(arrays) == ARRAYS[kind_of(metric)]
    assert function.__name__ == name
    hints = typing.get_type_hints(function)
    assert hints.keys() == {*signature.parameters, "return"}
    assert hints["return"] is float
    assert function.__doc__.splitlines()[0] == f"{metric.title}."


@pytest.mark.parametrize("name", METRICS)
def test_a_function_takes_the_settings_that_its_metric_reads(name):
    metric, settings = METRICS[name], settings_of(name)
    Reading.read.clear()
    for change in ({}, {"region": "box"}, {"lesion_iou": 0.3}, {"surface": "medpy"}):
        for measure in measures(kind_of(metric)):
            getattr(metric, kind_of(metric))(measure, Reading(**change))
    # The margin of a region is read where the voxels are counted.
    margin = {"margin"} if "region" in Reading.read else set()
    assert settings.keys() == (Reading.read | margin) - NOT_OF_ARRAYS - OF_ITSELF.get(name, set())
    assert set(metric.accepts) <= settings.keys()


@pytest.mark.parametrize("name", METRICS)
def test_the_defaults_of_a_function_are_those_of_the_settings(name):
    settings = settings_of(name)
    assert {key: item.default for key, item in settings.items()} == {
        key: DEFAULTS[key] for key in settings
    }
    types = typing.get_type_hints(Settings)
    hints = typing.get_type_hints(getattr(evaluation, name))
    assert {key: hints[key] for key in settings} == {key: types[key] for key in settings}


OTHERS = {
    "both_empty": "7",
    "one_empty": "7",
    "surface": "metrics_reloaded",
    "surface_connectivity": 3,
    "tolerance_mm": 0.3,
    "official_sums": True,
    "connectivity": 6,
    "lesion_iou": 0.3,
    "lesion_ml": (0.0, 0.05),
    "num_bins": 4,
    "norm": 2,
    "adaptive": True,
    "region": "band",
    "margin": 2,
    "credibility": 0.5,
    "crps": "official",
    "thresholds": (0.5, 0.9),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_function_has_the_values_of_its_metric(name):
    metric = METRICS[name]
    first, second = masks()
    empty = np.zeros_like(first)
    soft = np.clip(second * 0.6 + first * 0.3 + 0.05, 0, 1).astype(np.float32)
    for change in ({}, *({key: OTHERS[key]} for key in settings_of(name))):
        settings = Settings(**change)
        for reference, prediction in ((first, second), (first, empty), (empty, empty)):
            if kind_of(metric) == "of_masks":
                arrays = (reference, prediction, SPACING)
                expected = metric.of_masks(MaskPair(*arrays), settings)
            elif kind_of(metric) == "of_raters":
                arrays = ([reference, second], prediction, soft, SPACING)
                case = RaterCase(arrays[0], prediction, soft=make_soft(soft), voxel_ml=0.001)
                expected = metric.of_raters(case, settings)
            else:
                arrays = (reference.astype(int), np.stack((1 - soft, soft)))
                item = calibrate(*arrays, settings)
                parts = [item] if metric.scope == "all" else item.classes
                expected = np.mean([metric.of_probabilities(part, settings) for part in parts])
            found = getattr(evaluation, name)(*arrays, **change)
            assert type(found) is float
            assert found == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_a_setting_of_another_metric_is_an_error():
    first, second = masks()
    with pytest.raises(TypeError, match="surface"):
        evaluation.dice(first, second, surface="medpy")
    assert evaluation.dice(first, second) == 2 * 60 / (104 + 76)
