"""Table of planners: `(dataset, fingerprint, budget, request) -> Plan`."""

from __future__ import annotations

from collections.abc import Callable

from autoseg.planning.budget import Budget
from autoseg.planning.planners.auto import plan_auto
from autoseg.planning.planners.nnunet import plan_nnunet
from autoseg.planning.planners.request import Request
from autoseg.registry import Registry
from autoseg.schema.dataset import Dataset
from autoseg.schema.fingerprint import Fingerprint
from autoseg.schema.plan import Plan

Planner = Callable[[Dataset, Fingerprint, Budget, Request], Plan]

PLANNERS: Registry[Planner] = Registry("planner", {"auto": plan_auto, "nnunet": plan_nnunet})
