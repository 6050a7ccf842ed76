from __future__ import annotations

from pathlib import Path

import pytest

from autoseg.errors import ImageError
from autoseg.images import claims
from autoseg.images.claims import check_claim, memory_bytes

PATH = Path("a.tif")
GIB = 2**30


@pytest.fixture(autouse=True)
def much_memory(monkeypatch):
    monkeypatch.setattr(claims, "memory_bytes", lambda: 100 * GIB)


def test_one_gibibyte_is_always_allowed():
    check_claim(PATH, GIB, 1)
    with pytest.raises(ImageError, match=r"a\.tif: 1 bytes claim to hold 1\.1 GB of voxels"):
        check_claim(PATH, GIB + 1, 1)


@pytest.mark.parametrize(("is_label_map", "times"), [(False, 200), (True, 1000)])
def test_more_is_allowed_in_proportion_to_the_file(is_label_map, times):
    stored = GIB // 100
    check_claim(PATH, times * stored, stored, is_label_map=is_label_map)
    with pytest.raises(ImageError, match=f"more than {times} times as much"):
        check_claim(PATH, times * stored + 1, stored, is_label_map=is_label_map)


def test_half_of_the_memory_is_the_limit(monkeypatch):
    check_claim(PATH, 50 * GIB, 50 * GIB)
    with pytest.raises(ImageError, match=r"takes 2 times as much, this machine has 107\.4 GB"):
        check_claim(PATH, 50 * GIB + 1, 50 * GIB)
    monkeypatch.setattr(claims, "memory_bytes", lambda: None)
    check_claim(PATH, 500 * GIB, 50 * GIB)


def test_a_container_has_the_memory_that_it_is_given(tmp_path, monkeypatch):
    limits = (tmp_path / "new", tmp_path / "old", tmp_path / "missing")
    monkeypatch.setattr(claims, "_CGROUP_LIMITS", limits)
    limits[0].write_text("max\n")
    limits[1].write_text("1048576\n")
    assert memory_bytes() == 2**20
    limits[1].write_text(f"{2**62}\n")
    assert 2**20 < memory_bytes() < 2**62
