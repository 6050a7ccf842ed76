"""The README's example of an architecture, installed from outside through an entry point."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from autoseg.workspace import Workspace
from tests.conftest import ROOT, write_dataset


def install_example(folder: Path) -> None:
    """Puts the README's files where an installed package would have them."""
    text = (ROOT / "autoseg" / "README.md").read_text(encoding="utf-8")
    section = text[text.index("<!-- plugin -->") :]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    toml = re.search(r"```toml\n(.*?)```", section, re.DOTALL)[1]
    group = re.search(r'entry-points\."(.+?)"\]', toml)[1]
    entry = re.search(r'^(\w+) = "(.+?)"', toml, re.MULTILINE)
    (folder / f"{entry[2].split(':')[0]}.py").write_text(code)
    information = folder / "example-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: example\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{entry[1]} = {entry[2]}\n")


def test_the_example_of_the_readme_is_planned_trained_and_predicts(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install_example(site)
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
