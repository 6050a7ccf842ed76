"""Finds recipes in the package `plans` and applies them to data sets."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from autoseg.errors import InputError, UnknownNameError
from autoseg.schema import serialise
from autoseg.schema.dataset import Case, Dataset
from autoseg.schema.labels import LabelClass, LabelScheme
from autoseg.schema.recipe import Recipe


@lru_cache(maxsize=1)
def recipe_files() -> dict[str, Path]:
    """Recipe → file; those in folders have two parts, such as cads:551."""
    root = Path(str(files("plans"))) / "recipes"
    found = sorted(root.rglob("*.yaml"))
    return {":".join(path.relative_to(root).with_suffix("").parts): path for path in found}


def load_recipe(name: str) -> Recipe:
    """Reads a recipe.

    Raises:
        UnknownNameError: There is no such recipe.
    """
    known = recipe_files()
    if name not in known:
        raise UnknownNameError("recipe", name, known)
    return serialise.load(Recipe, known[name])


def list_recipes() -> list[tuple[str, str]]:
    """Name and description of every recipe."""
    return [(name, load_recipe(name).description) for name in recipe_files()]


def apply_recipe(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The data set with a recipe's channels and labels.

    Raises:
        InputError: The data set has other channels.
    """
    if recipe.channels:
        dataset = _select_channels(dataset, tuple(recipe.channels))
    if recipe.labels:
        classes = tuple(
            LabelClass(name=name, values=values if isinstance(values, tuple) else (values,))
            for name, values in recipe.labels.items()
        )
        labels = LabelScheme(
            classes=classes,
            ignore=dataset.labels.ignore,
            regions_order=recipe.regions_class_order,
        )
        dataset = replace(dataset, labels=labels)
    return dataset


def _select_channels(dataset: Dataset, wanted: tuple[str, ...]) -> Dataset:
    if len(wanted) == len(dataset.channel_names):
        return replace(dataset, channel_names=wanted)
    position = {name.casefold(): index for index, name in enumerate(dataset.channel_names)}
    missing = [name for name in wanted if name.casefold() not in position]
    if missing:
        raise InputError(
            f"{dataset.root}: has the channels {', '.join(dataset.channel_names)}; the recipe "
            f"needs {', '.join(wanted)}. Name them so in dataset.json."
        )
    chosen = [position[name.casefold()] for name in wanted]

    def select(case: Case) -> Case:
        if len(case.images) != len(dataset.channel_names):
            raise InputError(
                f"{case.images[0]}: holds all channels in one file, of which the recipe takes "
                f"{', '.join(wanted)}. Store one file per channel."
            )
        return replace(case, images=tuple(case.images[index] for index in chosen))

    return replace(dataset, channel_names=wanted, cases=tuple(map(select, dataset.cases)))
