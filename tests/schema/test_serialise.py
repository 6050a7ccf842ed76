from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoseg.errors import InputError, SchemaError
from autoseg.schema import serialise
from autoseg.schema.plan import Configuration, IntensityStatistics
from tests.conftest import REGIONS, make_configuration

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        IntensityStatistics,
        **dict.fromkeys(
            ("mean", "median", "std", "minimum", "maximum", "percentile_00_5", "percentile_99_5"),
            finite,
        ),
    )
)
def test_plain_form_is_an_inverse(statistics):
    plain = serialise.to_plain(statistics)
    assert serialise.from_plain(IntensityStatistics, plain, "here") == statistics


@pytest.mark.parametrize("ending", ["yaml", "json"])
@pytest.mark.parametrize("spacing", [(None, 1e-05, 3.0), (1.25, 1.0, 0.1)])
def test_load_gives_what_was_saved(tmp_path, ending, spacing):
    configuration = make_configuration(spacing_mm=spacing, labels=REGIONS)
    path = tmp_path / f"configuration.{ending}"
    serialise.save(configuration, path)
    assert serialise.load(Configuration, path) == configuration


def test_saved_files_have_a_schema_and_a_version(tmp_path, configuration):
    serialise.save(configuration, tmp_path / "a.yaml")
    text = (tmp_path / "a.yaml").read_text()
    assert text.startswith("schema: 1\nautoseg_version: ")


def test_unknown_key_is_an_error(tmp_path, configuration):
    path = tmp_path / "a.yaml"
    serialise.save(configuration, path)
    path.write_text(path.read_text() + "learning_rat: 3\n")
    with pytest.raises(SchemaError, match=r"a\.yaml: unknown key 'learning_rat'"):
        serialise.load(Configuration, path)


def test_missing_key_is_an_error(configuration):
    plain = serialise.to_plain(configuration)
    del plain["seed"]
    with pytest.raises(SchemaError, match="the key 'seed' is missing"):
        serialise.from_plain(Configuration, plain, "plan")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", "two", r"batch_size: expected int, got 'two'"),
        ("batch_size", True, r"expected int"),
        ("transpose", [0, 1], r"expected 3 items, got 2"),
        ("patch_size", 3, r"expected a list"),
        ("orientation", "XYZ", r"'XYZ' is not one of LPS, .* …"),
        ("channels", ["MRI"], r"expected a mapping"),
    ],
)
def test_wrong_types_are_errors(configuration, key, value, message):
    plain = serialise.to_plain(configuration) | {key: value}
    with pytest.raises(SchemaError, match=message):
        serialise.from_plain(Configuration, plain, "plan")


def test_another_schema_version_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"schema": 2}')
    with pytest.raises(SchemaError, match="schema is 2, this version of autoseg reads 1"):
        serialise.load(Configuration, path)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just text", "!!python/object:os.system {}"])
def test_files_that_hold_no_mapping_are_refused(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml"):
        serialise.load(Configuration, path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    serialise.write_text(target, "old")
    with pytest.raises(RuntimeError), serialise.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_written_files_have_the_permissions_of_the_users_mask(tmp_path):
    mask = os.umask(0o022)
    try:
        serialise.write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_changed_configurations_differ(configuration):
    assert replace(configuration, seed=8) != configuration


def test_the_users_mask_is_read_and_never_set(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("other threads would see it"))
    serialise.write_text(tmp_path / "a.txt", "a")
    assert (tmp_path / "a.txt").read_text() == "a"


def test_the_disk_has_a_file_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("sync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("name"), rename(*names)))
    serialise.write_text(tmp_path / "a.txt", "a")
    assert events == ["sync", "name", "sync"]


def test_a_few_aliases_do_not_become_billions_of_values(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="aliases .* are not supported"):
        serialise.read_mapping(path)


@pytest.mark.parametrize("ending", [".json", ".yaml"])
def test_deeply_nested_files_are_refused_in_a_line(tmp_path, ending):
    path = tmp_path / f"deep{ending}"
    path.write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(InputError) as raised:
        serialise.read_mapping(path)
    assert len(str(raised.value)) < 300 + len(str(path))


def test_messages_are_short_however_large_a_value_is():
    with pytest.raises(SchemaError) as raised:
        serialise.from_plain(Configuration, [0] * 100_000, "here")
    assert len(str(raised.value)) < 300
