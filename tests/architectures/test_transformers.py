"""Transformers: parameters of the papers, windows that do not leak, any grid."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoseg.architectures import build_network
from autoseg.architectures.attention import join_cells, split_cells
from autoseg.architectures.dformer import ScopeBlock
from autoseg.architectures.primus import rotary_angles, rotate
from autoseg.architectures.swin_unetr import WindowBlock, relative_offsets
from autoseg.planning.families import FAMILIES
from autoseg.planning.topology import make_topology
from autoseg.schema.plan import NetworkSpec

CUBES = ((3, 3, 3),) * 6
HALVES = ((2, 2, 2),) * 5
SWIN = NetworkSpec(
    architecture="swin_unetr",
    features=(48, 48, 96, 192, 384, 768),
    kernel_sizes=CUBES,
    strides=((1, 1, 1), *HALVES),
    encoder_blocks=(0, 2, 2, 2, 2, 0),
    decoder_blocks=(1,) * 5,
    heads=(0, 3, 6, 12, 24, 0),
    windows=((7, 7, 7),) * 6,
)
DFORMER = NetworkSpec(
    architecture="dformer",
    features=(96, 192, 384, 768),
    kernel_sizes=CUBES[:4],
    strides=((2, 4, 4), *HALVES[:3]),
    encoder_blocks=(2, 2, 6, 2),
    decoder_blocks=(),
    heads=(3, 6, 12, 24),
    windows=((2, 8, 8),) * 4,
)


def primus(width: int, depth: int, heads: int) -> NetworkSpec:
    return NetworkSpec(
        architecture="primus",
        features=(width,),
        kernel_sizes=CUBES[:1],
        strides=((8, 8, 8),),
        encoder_blocks=(depth,),
        decoder_blocks=(),
        heads=(heads,),
    )


@pytest.mark.parametrize(
    ("spec", "outputs", "paper", "tolerance"),
    [
        # The paper's table; MONAI's program has 62 187 296, ours 9 312 more: affine norms.
        (SWIN, 14, 61.98e6, 0.004),
        # The paper's table, whose classes are those of Synapse.
        (DFORMER, 9, 44.26e6, 0.01),
        # Counted in dynamic-network-architectures 0.4.4 (timm 1.0.15), less the absolute position
        # embedding, which depends on the patch.
        (primus(396, 12, 6), 2, 23_386_526 - 202_752, 0),
        (primus(792, 12, 12), 2, 92_243_498 - 405_504, 0),
        (primus(864, 16, 12), 2, 145_551_770 - 442_368, 0),
        (primus(1056, 24, 16), 2, 324_270_626 - 540_672, 0),
    ],
)
def test_parameters_are_those_of_the_papers(spec, outputs, paper, tolerance):
    with torch.device("meta"):
        network = build_network(spec, 1, outputs)
    count = sum(item.numel() for item in network.parameters())
    assert count == pytest.approx(paper, rel=tolerance, abs=0)


@pytest.mark.parametrize("architecture", ["swin_unetr", "dformer", "primus"])
@pytest.mark.parametrize(
    ("spacing", "patch"),
    [((1, 1, 1), (32, 48, 40)), ((10, 1.5, 1.5), (10, 64, 48)), ((1, 1), (64, 48))],
)
def test_planned_transformers_predict_and_learn(architecture, spacing, patch):
    torch.manual_seed(0)
    family = FAMILIES[architecture]
    topology = make_topology(spacing, patch)
    width = family.candidates[-1].width
    network = build_network(family.spec(topology, width, False), 2, 3)
    image = torch.randn(2, 2, *topology.patch_size)
    target = (image[:, 0] > 0).long()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        (logits,) = network(image)
        assert logits.shape == (2, 3, *topology.patch_size)
        loss = torch.nn.functional.cross_entropy(logits, target)
        optimiser.zero_grad()
        loss.backward()
        assert all(item.grad is not None for item in network.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=3))
def test_cells_are_joined_as_they_were_split(axes):
    cell = [size for size, _ in axes]
    grid = [size * count for size, count in axes]
    x = torch.arange(2 * math.prod(grid) * 2).view(2, *grid, 2)
    cells = split_cells(x, cell)
    assert cells.shape == (2, *(count for _, count in axes), math.prod(cell), 2)
    assert torch.equal(join_cells(cells, cell), x)
    first = x[(0, *(slice(size) for size in cell))]
    assert torch.equal(cells[(0, *[0] * len(cell))], first.reshape(-1, 2))


def touched(block, grid, position):
    """Tokens whose value changes when the one at a position does."""
    torch.manual_seed(0)
    x = torch.randn(1, *grid, 16)
    changed = x.clone()
    changed[(0, *position, 0)] += 5  # one channel: layer norms take out what all share
    with torch.no_grad():
        difference = (block(changed) - block(x))[0].abs().sum(-1) > 1e-6
    return {tuple(item) for item in difference.nonzero().tolist()}


def test_windows_do_not_leak_and_shifted_ones_do_not_wrap_around():
    plain = WindowBlock(16, 2, (4, 4), shifted=False).eval()
    assert touched(plain, (8, 8), (0, 0)) == {(y, x) for y in range(4) for x in range(4)}
    shifted = WindowBlock(16, 2, (4, 4), shifted=True).eval()
    assert touched(shifted, (8, 8), (3, 3)) == {(y, x) for y in range(2, 6) for x in range(2, 6)}
    # The corner's window is cut by the border; nothing comes over it from the other side.
    assert touched(shifted, (8, 8), (0, 0)) == {(y, x) for y in range(2) for x in range(2)}


def test_padding_is_not_attended_to():
    block = WindowBlock(16, 2, (4, 4), shifted=True).eval()
    torch.manual_seed(1)
    x = torch.randn(1, 6, 8, 16)
    with torch.no_grad():
        block.norm_attention.bias += 1  # padding with zeros now differs from normalised tokens
        before = block(x)
        assert touched(block, (6, 8), (5, 7)) <= {(y, x) for y in (2, 3, 4, 5) for x in (6, 7)}
    assert before.shape == x.shape


def test_position_biases_depend_on_the_offset_only():
    offsets = relative_offsets((2, 3))
    assert offsets.shape == (6, 6)
    assert offsets.unique().numel() == 3 * 5
    assert offsets[0, 1] == offsets[1, 2] == offsets[3, 4]
    assert offsets[0, 1] != offsets[1, 0]


def test_dilated_groups_span_the_whole_grid():
    local = ScopeBlock(16, 2, (2, 2), dilated=False).eval()
    assert touched(local, (6, 6), (0, 0)) == {(y, x) for y in (0, 1) for x in (0, 1)}
    spread = ScopeBlock(16, 2, (2, 2), dilated=True).eval()
    assert touched(spread, (6, 6), (0, 0)) == {(y, x) for y in (0, 3) for x in (0, 3)}
    # A grid that does not divide is padded, and nobody attends to the padding.
    odd = touched(local, (5, 5), (4, 4))
    assert odd == {(4, 4)}


def test_rotation_makes_scores_depend_on_relative_positions():
    angles = rotary_angles((4, 5, 6), 24, torch.device("cpu")).view(4, 5, 6, 12)
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, 24), torch.randn(1, 1, 1, 24)

    def score(first, second):
        a, b = angles[first], angles[second]
        return (rotate(query, a.cos(), a.sin()) * rotate(key, b.cos(), b.sin())).sum()

    assert torch.isclose(score((0, 0, 0), (1, 2, 1)), score((2, 1, 3), (3, 3, 4)), atol=1e-4)
    assert not torch.isclose(score((0, 0, 0), (1, 2, 1)), score((0, 0, 0), (2, 1, 1)), atol=1e-3)


def test_other_sizes_than_the_trained_one_can_be_predicted():
    topology = make_topology((1, 1, 1), (32, 32, 32))
    for name in ("swin_unetr", "dformer", "primus"):
        spec = FAMILIES[name].spec(topology, FAMILIES[name].candidates[-1].width, False)
        network = build_network(spec, 1, 2).eval()
        with torch.no_grad():
            assert network(torch.randn(1, 1, 64, 32, 64))[0].shape == (1, 2, 64, 32, 64)


def test_the_fusion_starts_as_the_average_of_the_paths():
    spec = replace(SWIN, architecture="fusion", features=(4,), encoder_blocks=(2,), windows=())
    network = build_network(spec, 9, 3)
    probabilities = torch.randn(2, 3, 3, 4, 5, 6).softmax(2)
    (logits,) = network(probabilities.flatten(1, 2))
    assert torch.allclose(logits.sigmoid(), probabilities.mean(1).clamp(1e-3, 1 - 1e-3), atol=1e-5)
