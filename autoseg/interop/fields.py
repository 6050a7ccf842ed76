"""Values of a JSON file that another program wrote, read with type, range and a clear error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoseg.errors import InputError
from autoseg.schema.serialise import short

MAX_BYTES = 2**28


@dataclass(frozen=True)
class Fields:
    """A JSON object.

    Attributes:
        content: Its keys and values.
        where: File and key, for messages.
    """

    content: Mapping[str, Any]
    where: str

    @staticmethod
    def read(path: Path) -> Fields:
        """Reads a file that holds one JSON object.

        Raises:
            InputError: It is missing, cannot be read or holds something else.
        """
        try:
            if not path.is_file():
                raise InputError(f"{path}: no such file; a model of nnU-Net needs it.")
            if (size := path.stat().st_size) > MAX_BYTES:
                raise InputError(f"{path}: {size} bytes are too many.")
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except RecursionError:
            raise InputError(f"{path}: cannot be read (nested too deeply).") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({str(error)[:160]}).") from None
        if not isinstance(content, dict):
            raise InputError(f"{path}: expected a JSON object.")
        return Fields(content, str(path))

    def __contains__(self, key: str) -> bool:
        return self.content.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def fault(self, key: str, expected: str) -> InputError:
        """The error that a value is not what was expected."""
        if key not in self.content:
            return InputError(f"{self.where}: {key} is missing, expected {expected}.")
        value = short(self.content[key])
        return InputError(f"{self.where}: {key} is {value}, expected {expected}.")

    def fields(self, key: str) -> Fields:
        """A JSON object."""
        value = self.content.get(key)
        if not isinstance(value, dict):
            raise self.fault(key, "an object")
        return Fields(value, f"{self.where}: {key}")

    def optional(self, key: str) -> Fields:
        """A JSON object, empty where it is missing or null."""
        return self.fields(key) if key in self else Fields({}, f"{self.where}: {key}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self.content.get(key, default)
        if not isinstance(value, str):
            raise self.fault(key, "a text")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Either true or false."""
        value = self.content.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in a range."""
        value = _number(self.content.get(key), low, high)
        if value is None:
            raise self.fault(key, f"a number{_range(low, high)}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer in a range."""
        value = self.content.get(key)
        if not _is_integer(value, low, high):
            raise self.fault(key, f"an integer{_range(low, high)}")
        return int(value)  # type: ignore[arg-type]

    def integers(
        self, key: str, low: int, high: int, *, lengths: Sequence[int] | None = None
    ) -> tuple[int, ...]:
        """A list of integers in a range."""
        value = self.content.get(key)
        if not isinstance(value, list) or not all(_is_integer(item, low, high) for item in value):
            raise self.fault(key, f"a list of integers{_range(low, high)}")
        self.check_length(key, value, lengths)
        return tuple(int(item) for item in value)

    def numbers(
        self, key: str, low: float, high: float, *, lengths: Sequence[int] | None = None
    ) -> tuple[float, ...]:
        """A list of finite numbers in a range."""
        value = self.content.get(key)
        if not isinstance(value, list) or any(_number(item, low, high) is None for item in value):
            raise self.fault(key, f"a list of numbers{_range(low, high)}")
        self.check_length(key, value, lengths)
        return tuple(float(item) for item in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.content.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fault(key, "a list of texts")
        return tuple(value)

    def check_length(self, key: str, value: Sequence[Any], lengths: Sequence[int] | None) -> None:
        """Refuses lists of another length."""
        if lengths is not None and len(value) not in lengths:
            raise self.fault(key, f"{' or '.join(map(str, lengths))} values")


def _is_integer(value: Any, low: int, high: int) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and low <= value <= high


def _number(value: Any, low: float, high: float) -> float | None:
    """The number, or None where it is none, not finite or outside the range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and low <= value <= high else None


def _range(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    return f" from {low} to {high}"
