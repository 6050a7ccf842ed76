from __future__ import annotations

import json

import pytest
import torch

from autoseg.architectures import ARCHITECTURES, build_network
from autoseg.errors import UnknownNameError
from autoseg.planning.families import unet_spec
from autoseg.planning.network_size import feature_map_elements, num_parameters
from autoseg.planning.topology import make_topology
from autoseg.schema.plan import NetworkSpec


def spec_of(arguments: dict) -> NetworkSpec:
    """Our spec of nnU-Net's arch_kwargs."""
    residual = "n_blocks_per_stage" in arguments
    return NetworkSpec(
        architecture="residual_unet" if residual else "plain_unet",
        features=tuple(arguments["features_per_stage"]),
        kernel_sizes=tuple(map(tuple, arguments["kernel_sizes"])),
        strides=tuple(map(tuple, arguments["strides"])),
        encoder_blocks=tuple(arguments.get("n_blocks_per_stage") or arguments["n_conv_per_stage"]),
        decoder_blocks=tuple(arguments["n_conv_per_stage_decoder"]),
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("plan", "configuration", "parameters"),
    # Counted on nnU-Net's networks (dynamic-network-architectures 0.4.4), one input, four outputs.
    [
        ("hippocampus/nnUNetPlans", "2d", 1_928_716),
        ("hippocampus/nnUNetPlans", "3d_fullres", 5_603_404),
        ("hippocampus/nnUNetResEncUNetMPlans", "2d", 8_728_908),
        ("hippocampus/nnUNetResEncUNetMPlans", "3d_fullres", 25_895_820),
        ("acdc/nnUNetPlans", "2d", 20_621_076),
        ("acdc/nnUNetPlans", "3d_fullres", 30_012_884),
    ],
)
def test_parameters_are_nnunets(reference_models, plan, configuration, parameters):
    plain = json.loads((reference_models / "plans" / f"{plan}.json").read_text())
    spec = spec_of(plain["configurations"][configuration]["architecture"]["arch_kwargs"])
    with torch.device("meta"):
        network = ARCHITECTURES[spec.architecture](spec, 1, 4)
    assert sum(item.numel() for item in network.parameters()) == parameters
    assert num_parameters(spec, 1, 4) == parameters


def small(architecture: str, *, anisotropic: bool = False, dims: int = 3) -> NetworkSpec:
    kernels = [(1, 3, 3), (3, 3, 3), (3, 3, 3)] if anisotropic else [(3, 3, 3)] * 3
    strides = [(1, 1, 1), (1, 2, 2), (2, 2, 2)]
    return NetworkSpec(
        architecture=architecture,
        features=(4, 6, 8),
        kernel_sizes=tuple(item[-dims:] for item in kernels),
        strides=tuple(item[-dims:] for item in strides),
        encoder_blocks=(1, 2, 1),
        decoder_blocks=(1, 2),
    )


@pytest.mark.parametrize("architecture", ["plain_unet", "residual_unet"])
@pytest.mark.parametrize(("dims", "anisotropic"), [(2, False), (3, False), (3, True)])
def test_logits_come_finest_first_and_alone_in_evaluation(architecture, dims, anisotropic):
    spec = small(architecture, anisotropic=anisotropic, dims=dims)
    network = build_network(spec, 2, 3)
    shape = (4, 8, 12)[-dims:]
    image = torch.randn(1, 2, *shape)
    coarse = tuple(size // step for size, step in zip(shape, spec.strides[1], strict=True))
    assert [tuple(item.shape) for item in network(image)] == [(1, 3, *shape), (1, 3, *coarse)]
    network.eval()
    assert [tuple(item.shape) for item in network(image)] == [(1, 3, *shape)]
    assert num_parameters(spec, 2, 3) == sum(item.numel() for item in network.parameters())


@pytest.mark.parametrize("architecture", ["plain_unet", "residual_unet"])
def test_feature_maps_are_counted_as_the_network_makes_them(architecture):
    spec = small(architecture)
    network = build_network(spec, 1, 3).eval()
    total = 0

    def count(module, _, output):
        nonlocal total
        total += output.numel()

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv3d, torch.nn.ConvTranspose3d)):
            module.register_forward_hook(count)
    network(torch.zeros(1, 1, 4, 8, 12))
    # nnU-Net counts the pooling of a residual skip even where no convolution follows it.
    assert feature_map_elements(spec, (4, 8, 12), 3) == total


def test_the_norm_equals_torchs_instance_norm():
    from autoseg.architectures.blocks import InstanceNorm

    image = torch.randn(2, 5, 4, 6, 8)
    expected = torch.nn.InstanceNorm3d(5, affine=True)(image)
    assert torch.allclose(InstanceNorm(5)(image), expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ["plain_unet", "residual_unet"])
def test_a_bottleneck_of_one_voxel_can_be_trained(architecture):
    """Norms of one voxel would make it 0 whatever it is, so that nothing before it learns."""
    torch.manual_seed(0)
    network = build_network(small(architecture), 1, 2)
    logits = network(torch.randn(1, 1, 2, 4, 4))[0]
    (logits * torch.randn_like(logits)).sum().backward()
    bottleneck = {
        name: parameter.grad
        for name, parameter in network.named_parameters()
        if name.startswith("encoder.2.") and name.endswith("conv.weight")
    }
    assert bottleneck
    for name, gradient in bottleneck.items():
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().max() > 1e-6, name


@pytest.mark.parametrize("architecture", ["plain_unet", "residual_unet"])
@pytest.mark.parametrize("shape", [(7, 7), (1, 1), (7, 5, 6)])
def test_images_too_small_to_be_pooled_have_a_network(architecture, shape):
    topology = make_topology((1.0,) * len(shape), shape)
    spec = unet_spec(architecture)(topology, 8, True)
    assert len(spec.features) == 1
    network = build_network(spec, 2, 3)
    image = torch.randn(2, 2, *shape)
    (logits,) = network(image)
    assert logits.shape == (2, 3, *shape)
    logits.sum().backward()
    assert network.decoder.heads[0].weight.grad.abs().max() > 0
    assert num_parameters(spec, 2, 3) == sum(item.numel() for item in network.parameters())
    network.eval()
    expected = network(image)[0]
    head = network.detach_head()
    assert torch.allclose(head(network(image)[0]), expected)


def test_an_unknown_architecture_lists_the_known_ones():
    with pytest.raises(
        UnknownNameError,
        match=r"Unknown architecture 'os\.system'. Known: .*plain_unet",
    ):
        ARCHITECTURES["os.system"]
