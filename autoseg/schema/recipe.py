"""A recipe: what is known about a data set that a planner cannot find out by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoseg.schema.orientation import Orientation


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Named overrides for a known data set; what is left out stays the planner's choice.

    Attributes:
        description: One line for people.
        source: Where the numbers come from.
        channels: Channel → normalisation; of a data set with more channels these are taken.
        labels: Class → raw value, or region → raw values.
        regions_class_order: Raw value that each region paints, in painting order.
        orientation: All cases are turned to it, such as RAS; imported models get it too.
        spacing_mm: Target spacing (z, y, x).
        mirror: False never mirrors: left and right structures have different labels.
        foreground_fraction: Share of a batch whose patches are centred on foreground.
        configurations: What is planned where the user names nothing.
        network: Preset where the user names none.
        group_pattern: Regular expression that finds the patient in a case name.
        loss: Loss where the user names none.
        augmentation: Augmentation where the user names none.
        schedule: Learning rate schedule where the user names none.
    """

    description: str
    source: str
    channels: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int | tuple[int, ...]] = field(default_factory=dict)
    regions_class_order: tuple[int, ...] | None = None
    orientation: Orientation | None = None
    spacing_mm: tuple[float, float, float] | None = None
    mirror: bool = True
    foreground_fraction: float | None = None
    configurations: tuple[str, ...] = ()
    network: str | None = None
    group_pattern: str | None = None
    loss: str | None = None
    augmentation: str | None = None
    schedule: str | None = None
