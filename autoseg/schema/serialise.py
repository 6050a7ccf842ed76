"""Strict YAML and JSON forms of frozen dataclasses, written atomically.

Files carry `schema: 1` and the version that made them; unknown and missing keys are errors.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import reprlib
import tempfile
import time
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from autoseg.errors import InputError, SchemaError

SCHEMA_VERSION = 1
LEFTOVER_AGE_S = 600.0
MAX_BYTES = 2**30
MAX_LISTED = 12
_PARTIAL = ".partial-"
_HEADER = ("schema", "autoseg_version")
T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Turns a dataclass (nested) into dicts, lists, strings and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def from_plain(cls: type[T], plain: Any, where: str) -> T:
    """Builds a `cls` from plain data.

    Args:
        cls: A dataclass.
        plain: What `to_plain` made.
        where: File name for messages.

    Raises:
        SchemaError: A key is unknown or missing or a value has the wrong type.
    """
    result: T = _decode(cls, plain, where)
    return result


def short(value: Any) -> str:
    """A value for a message: its repr, shortened, however large it is."""
    return reprlib.repr(value)


def _decode(hint: Any, plain: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _decode_dataclass(hint, plain, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, plain, where)
    if origin is tuple:
        return _decode_tuple(arguments, plain, where)
    if origin is dict:
        if not isinstance(plain, dict):
            raise SchemaError(f"{where}: expected a mapping, got {short(plain)}.")
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in plain.items()}
    if origin is typing.Literal:
        if plain not in arguments:
            more = " …" if len(arguments) > MAX_LISTED else ""
            known = ", ".join(map(str, arguments[:MAX_LISTED])) + more
            raise SchemaError(f"{where}: {short(plain)} is not one of {known}.")
        return plain
    return _decode_scalar(hint, plain, where)


def _decode_scalar(hint: Any, plain: Any, where: str) -> Any:
    if hint is float and isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return float(plain)
    if hint is Path and isinstance(plain, str):
        return Path(plain)
    if hint is Any or (type(plain) is hint):
        return plain
    raise SchemaError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {short(plain)}.")


def _decode_union(arguments: tuple[Any, ...], plain: Any, where: str) -> Any:
    if plain is None and type(None) in arguments:
        return None
    errors = []
    for argument in arguments:
        if argument is type(None):
            continue
        try:
            return _decode(argument, plain, where)
        except SchemaError as error:
            errors.append(error)
    raise errors[0]


def _decode_tuple(arguments: tuple[Any, ...], plain: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(plain, (list, tuple)):
        raise SchemaError(f"{where}: expected a list, got {short(plain)}.")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        hints = (arguments[0],) * len(plain)
    elif len(arguments) != len(plain):
        raise SchemaError(f"{where}: expected {len(arguments)} items, got {len(plain)}.")
    else:
        hints = arguments
    return tuple(
        _decode(hint, item, f"{where}[{index}]")
        for index, (hint, item) in enumerate(zip(hints, plain, strict=True))
    )


def _decode_dataclass(cls: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise SchemaError(f"{where}: expected a mapping, got {short(plain)}.")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := sorted(set(plain) - set(fields)):
        raise SchemaError(
            f"{where}: unknown key '{unknown[0]}'. Known keys: {', '.join(sorted(fields))}."
        )
    missing = [
        name
        for name, field in fields.items()
        if name not in plain
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SchemaError(f"{where}: the key '{missing[0]}' is missing.")
    value = cls(
        **{name: _decode(hints[name], item, f"{where}.{name}") for name, item in plain.items()}
    )
    # Types that have rules beyond those of their fields say which of them are broken.
    if faults := value.faults() if hasattr(value, "faults") else ():
        raise SchemaError(f"{where}: {'; '.join(faults)}.")
    return value


@contextmanager
def atomic_path(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `target` that is renamed to it when the block succeeds.

    Args:
        target: Where the file shall be.
        durable: Wait until the disk has it before it is renamed, so that a power failure leaves
            the old file or the new one; not needed for what can be made again.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # The full suffix stays at the end: writers choose the format by it.
    handle, name = tempfile.mkstemp(prefix=_PARTIAL, suffix="-" + target.name, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; ours have the permissions that the user's mask gives.
        temporary.chmod(0o666 & ~_umask())
        if durable:
            _sync(temporary)
        os.replace(temporary, target)
        if durable:
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Waits until the disk has a file, or the names in a folder."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The user's mask, read without setting it: other threads may be making files."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        status = ""
    match = re.search(r"^Umask:\s*([0-7]+)", status, re.MULTILINE)
    if match:
        return int(match[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of writers that were killed.

    Recent ones are left alone: another process may be writing them.
    """
    for path in folder.glob(f"{_PARTIAL}*"):
        try:
            if time.time() - path.stat().st_mtime > LEFTOVER_AGE_S:
                path.unlink()
        except FileNotFoundError:  # its writer has just finished
            continue


def write_text(target: Path, text: str) -> None:
    """Writes `text` to `target` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save(value: Any, target: Path) -> None:
    """Writes a dataclass as YAML (.yaml) or JSON (.json), atomically."""
    from autoseg.version import __version__

    plain = {"schema": SCHEMA_VERSION, "autoseg_version": __version__, **to_plain(value)}
    if target.suffix == ".yaml":
        text = yaml.dump(plain, Dumper=_PlanDumper, sort_keys=False, width=100, allow_unicode=True)
    else:
        text = json.dumps(plain, indent=1, allow_nan=False)
    write_text(target, text)


def load(cls: type[T], source: Path) -> T:
    """Reads what `save` wrote.

    Raises:
        InputError: The file is missing or is not YAML or JSON.
        SchemaError: It does not follow the schema of `cls`.
    """
    plain = read_mapping(source)
    if plain.get("schema") != SCHEMA_VERSION:
        raise SchemaError(
            f"{source}: schema is {short(plain.get('schema'))}, this version of autoseg reads "
            f"{SCHEMA_VERSION}. Make the file again with this version."
        )
    body = {key: item for key, item in plain.items() if key not in _HEADER}
    return from_plain(cls, body, str(source))


def read_mapping(source: Path) -> dict[str, Any]:
    """Reads a YAML or JSON file that holds one mapping.

    Raises:
        InputError: The file is missing, unreadable or holds something else.
    """
    parse: Callable[[str], Any] = json.loads if source.suffix == ".json" else _load_yaml
    try:
        if not source.is_file():
            raise InputError(f"{source}: no such file.")
        if (size := source.stat().st_size) > MAX_BYTES:
            raise InputError(f"{source}: {size} bytes are too many for a file of settings.")
        plain = parse(source.read_text(encoding="utf-8"))
    except RecursionError:
        raise InputError(f"{source}: cannot be read (nested too deeply).") from None
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{source}: cannot be read ({reason}).") from None
    if not isinstance(plain, dict):
        raise InputError(f"{source}: expected a mapping, got {type(plain).__name__}.")
    return plain


def _load_yaml(text: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_aliases(node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_aliases(node: yaml.Node, seen: set[int]) -> None:
    """A few nested aliases stand for billions of values; files of ours have none.

    Raises:
        ValueError: A value stands at more than one place.
    """
    if isinstance(node, yaml.ScalarNode):
        return
    if id(node) in seen:
        raise ValueError("aliases (*name) are not supported; write the values out")
    seen.add(id(node))
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            _refuse_aliases(part, seen)


class _PlanDumper(yaml.SafeDumper):
    """Short lists of numbers on one line, everything else in block style."""


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flat = all(isinstance(item, (int, float, str, bool)) or item is None for item in data)
    nested = all(
        isinstance(item, list) and all(isinstance(inner, (int, float)) for inner in item)
        for item in data
    )
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat or nested)


def _represent_float(dumper: yaml.SafeDumper, data: float) -> yaml.Node:
    if math.isfinite(data):
        text = repr(data)
        if "e" in text and "." not in text:  # YAML 1.1 reads 1e-05 as a string
            text = text.replace("e", ".0e")
        return dumper.represent_scalar("tag:yaml.org,2002:float", text)
    return yaml.SafeDumper.represent_float(dumper, data)


_PlanDumper.add_representer(list, _represent_list)
_PlanDumper.add_representer(float, _represent_float)
