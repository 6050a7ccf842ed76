"""From logits to decisions: which channel a voxel belongs to, and probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autoseg.schema.labels import LabelScheme

MAX_EXPONENT = 80.0


def argmax(logits: Tensor, scheme: LabelScheme) -> Tensor:
    """Which channel decides a voxel: [n] of [n, outputs].

    For labels it is the channel with the largest logit. For regions it is one more than the last
    channel above 0, which paints over the others, and 0 where there is none. Either way what wins
    at several points wins between them.
    """
    dtype = torch.uint8 if logits.shape[1] < 2**8 else torch.int16
    if not scheme.has_regions:
        if logits.device.type == "cpu":  # several times faster than torch's
            return torch.from_numpy(logits.numpy().argmax(1)).to(dtype)
        return logits.argmax(1).to(dtype)
    position = torch.arange(1, logits.shape[1] + 1, device=logits.device)
    return ((logits > 0) * position).amax(1).to(dtype)


def label_values(scheme: LabelScheme) -> npt.NDArray[np.integer]:
    """Raw label value of each result of `argmax`."""
    values = scheme.regions_order or scheme.foreground_values
    return np.asarray((0, *values), dtype=scheme.output_dtype())


def label_indices(scheme: LabelScheme) -> npt.NDArray[np.integer]:
    """Label index of each result of `argmax`."""
    position = {value: index + 1 for index, value in enumerate(scheme.foreground_values)}
    values = scheme.regions_order or scheme.foreground_values
    dtype = np.uint8 if scheme.num_indices < 2**8 else np.uint16
    return np.asarray([0, *(position.get(value, 0) for value in values)], dtype=dtype)


def probabilities(logits: Tensor, scheme: LabelScheme) -> Tensor:
    """Softmax, or sigmoid of regions: [n, outputs]."""
    if not scheme.has_regions:
        return logits.softmax(1)
    if logits.device.type == "cpu":  # torch's depends on the place within the array
        exponents = np.clip(-logits.numpy(), -MAX_EXPONENT, MAX_EXPONENT)
        return torch.from_numpy(1 / (1 + np.exp(exponents)))
    return logits.sigmoid()
