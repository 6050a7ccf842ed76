"""Installs the example of a README as a package from outside would be."""

from __future__ import annotations

import re
from pathlib import Path

from autoseg.registry import Registry


def install_example(readme: Path, folder: Path) -> str:
    """Puts a README's files where an installed package would have them; returns its entry."""
    text = readme.read_text(encoding="utf-8")
    section = text[text.index("<!-- plugin -->") :]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    toml = re.search(r"```toml\n(.*?)```", section, re.DOTALL)[1]
    group = re.search(r'entry-points\."(.+?)"\]', toml)[1]
    name, entry = re.search(r'^(\w+) = "(.+?)"', toml, re.MULTILINE).groups()
    (folder / f"{entry.split(':')[0]}.py").write_text(code)
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {entry}\n")
    return name


def forget_plugins(table: Registry, monkeypatch) -> None:
    """Makes a table look for plug-ins again, and forget them after the test."""
    monkeypatch.setattr(table, "_entries", dict(table._entries))
    monkeypatch.setattr(table, "_plugins_loaded", False)
