"""Free memory: what the system and the control groups of a process leave."""

from __future__ import annotations

import pytest

from autoseg.costs import machine
from autoseg.costs.machine import UNKNOWN_MEMORY_BYTES, free_memory_bytes

GIGABYTE = 2**30


def system(root, *, available=64, group="0::/", **files):
    """A made-up system: gigabytes that are available, the group of the process, and files."""
    files = {
        "proc/meminfo": f"MemTotal: 1 kB\nMemAvailable:   {available * 2**20} kB\n",
        "proc/self/cgroup": group,
        **files,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))
    return root


def test_without_a_limit_the_machines_memory_is_free(tmp_path):
    assert free_memory_bytes(root=system(tmp_path)) == 64 * GIGABYTE
    folder = "sys/fs/cgroup"
    system(tmp_path, **{f"{folder}/memory.max": "max\n", f"{folder}/memory.current": "5"})
    assert free_memory_bytes(root=tmp_path) == 64 * GIGABYTE


def test_version_2_leaves_the_limit_less_what_is_used_but_for_cached_files(tmp_path):
    folder = "sys/fs/cgroup"
    root = system(
        tmp_path,
        **{
            f"{folder}/memory.max": f"{8 * GIGABYTE}\n",
            f"{folder}/memory.current": f"{5 * GIGABYTE}\n",
            f"{folder}/memory.stat": f"anon 1\nfile 9\ninactive_file {2 * GIGABYTE}\nactive_file 3",
        },
    )
    assert free_memory_bytes(root=root) == 5 * GIGABYTE


def test_version_1_counts_the_same_by_its_own_names(tmp_path):
    folder = "sys/fs/cgroup/memory/job/step"
    root = system(
        tmp_path,
        group="9:cpuset:/else\n4:memory:/job/step\n0::/\n",
        **{
            f"{folder}/memory.limit_in_bytes": 4 * GIGABYTE,
            f"{folder}/memory.usage_in_bytes": 3 * GIGABYTE,
            f"{folder}/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIGABYTE}",
            # What version 1 says where there is no limit.
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": 60 * GIGABYTE,
        },
    )
    assert free_memory_bytes(root=root) == 2 * GIGABYTE


@pytest.mark.parametrize("group", ["0::/slice/unit", "0::/not/in/this/container"])
def test_the_tightest_of_the_groups_around_a_process_counts(tmp_path, group):
    folder = "sys/fs/cgroup"
    files = {f"{folder}/memory.max": 6 * GIGABYTE, f"{folder}/memory.current": GIGABYTE}
    files |= {
        f"{folder}/slice/unit/memory.max": 20 * GIGABYTE,
        f"{folder}/slice/unit/memory.current": 0,
    }
    assert free_memory_bytes(root=system(tmp_path, group=group, **files)) == 5 * GIGABYTE


def test_a_group_that_is_full_leaves_nothing(tmp_path):
    files = {"sys/fs/cgroup/memory.high": 100, "sys/fs/cgroup/memory.current": 300}
    assert free_memory_bytes(root=system(tmp_path, **files)) == 0


def test_where_the_system_says_nothing_something_usual_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.os, "sysconf_names", {})
    assert free_memory_bytes(root=tmp_path) == UNKNOWN_MEMORY_BYTES
