from __future__ import annotations

import pytest

from autoseg.errors import UsageError
from autoseg.pipeline import run_folder
from autoseg.workspace import Workspace


@pytest.fixture
def run(tmp_path):
    run = Workspace(tmp_path).run("2d", 0)
    run.folder.mkdir(parents=True)
    run.final.write_text("earlier")
    return run


def test_an_earlier_training_is_neither_replaced_nor_continued_silently(run):
    with pytest.raises(UsageError, match="holds a finished training"):
        run_folder.check_free(run, resume=False, overwrite=False)
    run_folder.check_free(run, resume=False, overwrite=True)


def test_a_training_that_ends_before_its_first_checkpoint_brings_the_earlier_one_back(run):
    run_folder.set_aside(run)
    assert not run.folder.exists()
    run_folder.make_folder(run)
    run.log.write_text("began")
    run_folder.restore(run)
    assert run.final.read_text() == "earlier"
    assert not run.replaced.exists()


def test_the_earlier_training_goes_where_the_new_one_has_a_checkpoint(run):
    run_folder.set_aside(run)
    run_folder.make_folder(run)
    run.last.write_text("new")
    run_folder.restore(run)
    assert not run.final.exists()
    assert run.last.read_text() == "new"
    assert not run.replaced.exists()


def test_a_set_aside_training_is_no_run_of_the_workspace(run, tmp_path):
    run_folder.set_aside(run)
    assert Workspace(tmp_path).all_runs() == []
