"""Name → component tables that plug-ins can add to through entry points."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from autoseg.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of components.

    A name that stands in a plan or a checkpoint is only ever looked up here; nothing is imported
    by a name from a file. Plug-ins are packages that the user installed and that announce an
    entry point in the group `autoseg.<kind>s`.

    Args:
        kind: What the table holds, in the singular, for messages and for the entry point group.
        entries: The built-in components.
        plural: For the entry point group, where it is not the kind with an s.
    """

    def __init__(self, kind: str, entries: dict[str, T], plural: str | None = None) -> None:
        self.kind = kind
        self.group = f"autoseg.{plural or kind + 's'}"
        self._entries = dict(entries)
        self._plugins_loaded = False

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self._load_plugins()
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._entries) from None

    def __contains__(self, name: str) -> bool:
        if name not in self._entries:
            self._load_plugins()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return iter(self._entries)

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in entry_points(group=self.group):
            self._entries.setdefault(point.name, point.load())
