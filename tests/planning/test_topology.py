from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoseg.planning.topology import make_topology, shrink

axis = st.integers(1, 200)
step = st.floats(0.3, 10)


@given(st.tuples(axis, axis, axis), st.tuples(step, step, step))
def test_patches_hold_what_was_wanted_and_divide_by_their_strides(patch, spacing):
    found = make_topology(spacing, patch)
    for index in range(3):
        product = 1
        for stride in found.strides:
            product *= stride[index]
        assert product == found.divisor[index]
        assert found.patch_size[index] % product == 0
        assert patch[index] <= found.patch_size[index] < patch[index] + product
    assert len(found.strides) == len(found.kernel_sizes)
    assert found.strides[0] == (1, 1, 1)
    assert found.kernel_sizes[-1] == (3, 3, 3)


@given(st.tuples(axis, axis, axis), st.tuples(step, step, step))
def test_kernels_never_shrink_again(patch, spacing):
    kernels = make_topology(spacing, patch).kernel_sizes
    for before, after in zip(kernels, kernels[1:], strict=False):
        assert all(old <= new for old, new in zip(before, after, strict=True))


def test_shrinking_takes_the_axis_that_covers_most():
    topology = make_topology((1, 1, 1), (64, 64, 128))
    smaller = shrink(topology, (1, 1, 1), (64, 300, 300))
    assert smaller is not None
    assert smaller.patch_size[0] < 64
    assert smaller.patch_size[1:] == (64, 128)
