from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoseg.schema.labels import LabelClass, LabelScheme
from tests.conftest import REGIONS


def scheme(*values: int, ignore: int | None = None) -> LabelScheme:
    classes = tuple(LabelClass(name=f"c{value}", values=(value,)) for value in values)
    return LabelScheme(classes=classes, ignore=ignore)


@given(st.sets(st.integers(1, 5000), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_decode_is_the_inverse_of_encode(values, seed):
    labels = scheme(*values)
    raw = np.random.default_rng(seed).choice([0, *values], size=(3, 4, 5))
    assert (labels.decode(labels.encode(raw)) == raw).all()


def test_values_far_above_16_bit_are_encoded():
    labels = scheme(3, 1_000_000)
    raw = np.array([0, 1_000_000, 3])
    assert labels.encode(raw).tolist() == [0, 2, 1]
    assert labels.decode(np.array([0, 2, 1])).tolist() == raw.tolist()
    with pytest.raises(ValueError, match="7"):
        labels.encode(np.array([0, 7]))


def test_an_unknown_value_is_named():
    with pytest.raises(ValueError, match="4"):
        scheme(1, 2, 9).encode(np.array([0, 1, 4]))
    with pytest.raises(ValueError, match="-1"):
        scheme(1, 2, 9).encode(np.array([0, 1, -1]))


def test_the_ignore_label_is_the_last_index_and_no_output():
    labels = scheme(1, 2, ignore=7)
    assert labels.encode(np.array([7, 2, 0])).tolist() == [3, 2, 0]
    assert (labels.num_outputs, labels.ignore_index) == (3, 3)


@given(st.sets(st.integers(0, 300), min_size=3, max_size=9), st.integers(0, 2**32 - 1))
def test_the_ignore_label_is_decoded_as_well(values, seed):
    rng = np.random.default_rng(seed)
    ignore, *rest = rng.permutation(sorted(values - {0})).tolist()
    labels = scheme(*rest, ignore=ignore)
    raw = rng.choice(labels.known_values, size=(3, 4, 5))
    assert (labels.decode(labels.encode(raw)) == raw).all()


def test_names_follow_the_values_not_the_order_of_the_file():
    labels = LabelScheme(
        classes=(LabelClass(name="b", values=(9,)), LabelClass(name="a", values=(4,)))
    )
    assert labels.class_names == ("a", "b")
    assert labels.class_indices == ((1,), (2,))


def test_regions_have_an_output_each_and_no_background():
    assert REGIONS.num_outputs == 2
    assert REGIONS.class_indices == ((1, 2), (2,))


@pytest.mark.parametrize(
    ("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (70000, np.int32)]
)
def test_predictions_take_the_smallest_type(highest, dtype):
    assert scheme(1, highest).output_dtype() is dtype
