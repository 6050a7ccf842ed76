"""The README's example of an architecture, installed from outside through an entry point."""

from __future__ import annotations

import os
import subprocess
import sys

from autoseg.workspace import Workspace
from tests.conftest import ROOT, write_dataset
from tests.tools.plugin import install_example


def test_the_example_of_the_readme_is_planned_trained_and_predicts(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install_example(ROOT / "autoseg" / "README.md", site)
    data = write_dataset(tmp_path / "Dataset001_Tiny", num_cases=4)
    workspace = tmp_path / "ws"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}

    def command(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "autoseg", *arguments], check=True, env=environment, timeout=300
        )

    name = "3d_fullres_tiny_net"
    options = ["--folds", "2", "--time-budget", "2s", "--workers", "1"]
    command("plan", str(data), "--workspace", str(workspace), "--configurations", name, *options)
    command("train", str(workspace), name, "0")
    command("validate", str(workspace), name, "0")
    run = Workspace(workspace).run(name, 0)
    assert (run.validation / "summary.json").is_file()
    assert "architecture: tiny_net" in run.configuration.read_text()
