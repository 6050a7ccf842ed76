"""Whatever stands in plans.json and dataset.json, the answer is a model or a line."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from autoseg.errors import AutosegError, InputError
from autoseg.interop.fields import Fields
from autoseg.interop.nnunet_plans import read_configuration
from tests.interop.test_nnunet import DATASET, make_plans

ODD = (
    None,
    True,
    -1,
    0,
    10**12,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 10**5,
    [],
    [[]],
    {},
    [None],
    {"a": {}},
)
STATISTICS = {
    key: 1.0
    for key in ("mean", "median", "std", "min", "max", "percentile_00_5", "percentile_99_5")
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values, keys and indices alike."""
    if path:
        yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    content = copy.deepcopy(content)
    part = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return content


def read(plans: Any, dataset: Any) -> Any:
    return read_configuration(
        Fields(plans, "plans.json"), Fields(dataset, "dataset.json"), "net", (0,)
    )


def full_plans() -> dict[str, Any]:
    plans = make_plans()
    plans["foreground_intensity_properties_per_channel"] = {"0": STATISTICS}
    return plans


def test_any_value_at_any_place_is_read_or_refused_in_a_line():
    plans = full_plans()
    assert read(plans, DATASET).network.features == (4, 8)
    messages = []
    for content, reader in (
        (plans, lambda content: read(content, DATASET)),
        (DATASET, lambda content: read(plans, content)),
    ):
        for path in places(content):
            for odd in ODD:
                try:
                    found = reader(changed(content, path, odd))
                except AutosegError as error:
                    messages.append(str(error))
                else:
                    assert not found.faults(), (path, odd)
    assert len(messages) > 500
    assert [text[:200] for text in messages if len(text) > 600] == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("configurations", "base", "patch_size"), [8, 8, 7], "multiples of"),
        (("configurations", "base", "patch_size"), [10**9, 8, 8], "integers from 1 to 4096"),
        (("configurations", "base", "spacing"), [1.0, 0.0, 1.0], "spacing is .*, expected"),
        (("configurations", "net", "batch_size"), 0, "batch_size is 0, expected an integer"),
        (("transpose_forward",), [0, 0, 1], "the axes 0, 1 and 2"),
        (("image_reader_writer",), "MyReader", "the image reader 'MyReader'"),
    ],
)
def test_the_place_and_the_expectation_are_named(path, value, message):
    with pytest.raises(InputError, match=message):
        read(changed(full_plans(), path, value), DATASET)


def test_empty_statistics_do_where_nothing_needs_them():
    plans = full_plans()
    plans["foreground_intensity_properties_per_channel"] = {"0": {}}
    assert read(plans, DATASET).channels[0].statistics is None
    plans["configurations"]["base"]["normalization_schemes"] = ["CTNormalization"]
    with pytest.raises(InputError, match="which CTNormalization needs"):
        read(plans, DATASET)


@pytest.mark.parametrize("background", [0, [0], "0"])
def test_every_way_to_write_the_background_is_read(background):
    labels = {**DATASET["labels"], "background": background}
    assert read(full_plans(), {**DATASET, "labels": labels}).labels.class_names == ("a", "b")


def test_a_model_of_version_1_is_named():
    with pytest.raises(InputError, match="nnU-Net v1 cannot be read"):
        read({"plans_per_stage": {}}, DATASET)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 10**5, "\xff"])
def test_files_that_hold_no_object_are_refused_in_a_line(tmp_path, content):
    path = tmp_path / "plans.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError) as raised:
        Fields.read(path)
    assert len(str(raised.value)) < 300 + len(str(path))


def test_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "plans.json"
    path.write_text(json.dumps({"a": 1}), encoding="utf-8-sig")
    assert Fields.read(path).integer("a", 0, 2) == 1
