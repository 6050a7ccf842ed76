"""nnU-Net's augmentation: what its documentation and source say, number by number."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from autoseg.augmentation.nnunet_scheme import nnunet_chain, source_size
from autoseg.augmentation.transforms import TransformChain
from autoseg.schema.plan import Configuration, PreviousStage
from tests.conftest import make_configuration

USUAL = [
    "SpatialTransform",
    "GaussianNoiseTransform",
    "GaussianBlurTransform",
    "BrightnessMultiplicativeTransform",
    "ContrastAugmentationTransform",
    "SimulateLowResolutionTransform",
    "GammaTransform",
    "GammaTransform",
    "MirrorTransform",
    "RemoveLabelTransform",
]
SETTINGS = [
    {
        "p_rot_per_sample": 0.2,
        "p_rot_per_axis": 1,
        "p_scale_per_sample": 0.2,
        "scale": (0.7, 1.4),
        "independent_scale_for_each_axis": False,
        "do_elastic_deform": False,
        "random_crop": False,
        "order_data": 1,
        "order_seg": 1,
        "border_mode_data": "constant",
        "border_cval_data": 0,
        "border_mode_seg": "constant",
        "border_cval_seg": -1,
    },
    {"p_per_sample": 0.1, "noise_variance": (0, 0.1), "p_per_channel": 1, "per_channel": False},
    {
        "p_per_sample": 0.2,
        "blur_sigma": (0.5, 1.0),
        "p_per_channel": 0.5,
        "different_sigma_per_channel": True,
        "different_sigma_per_axis": True,
        "p_isotropic": 0,
    },
    {"p_per_sample": 0.15, "multiplier_range": (0.75, 1.25), "per_channel": True},
    {
        "p_per_sample": 0.15,
        "contrast_range": (0.75, 1.25),
        "preserve_range": True,
        "per_channel": True,
        "p_per_channel": 1,
    },
    {
        "p_per_sample": 0.25,
        "zoom_range": (0.5, 1),
        "per_channel": True,
        "p_per_channel": 0.5,
        "order_downsample": 0,
        "order_upsample": 1,
        "ignore_axes": None,
    },
    *(
        {
            "p_per_sample": probability,
            "gamma_range": (0.7, 1.5),
            "invert_image": inverted,
            "per_channel": True,
            "retain_stats": True,
        }
        for inverted, probability in ((True, 0.1), (False, 0.3))
    ),
    {"p_per_sample": 1, "axes": (0, 1, 2)},
    {"remove_label": -1, "replace_with": 0},
]


def configured(patch: tuple[int, ...], **changes) -> Configuration:
    """A configuration with a patch size, mirrored along all axes."""
    axes = changes.pop("mirror_axes", tuple(range(len(patch))))
    made = make_configuration(patch_size=patch, **changes)
    return replace(made, training=replace(made.training, mirror_axes=axes))


def names(chain: TransformChain) -> list[str]:
    return [type(transform).__name__ for transform in chain.transforms]


def spatial(chain: TransformChain) -> TransformChain:
    """The chain up to where intensities begin to change."""
    last = names(chain).index("GaussianNoiseTransform")
    return replace(chain, transforms=chain.transforms[:last])


@pytest.mark.parametrize("patch", [(32, 32, 32), (64, 64)])
def test_the_list_its_order_ranges_and_probabilities_are_those_of_nnunet(patch):
    chain = nnunet_chain(configured(patch))
    assert names(chain) == USUAL
    axes = {"axes": tuple(range(len(patch)))}
    for transform, usual in zip(chain.transforms, SETTINGS, strict=True):
        expected = {**usual, **(axes if "axes" in usual else {})}
        assert {name: getattr(transform, name) for name in expected} == expected
    assert chain.previous_class_probability == 0.5


@pytest.mark.parametrize(
    ("patch", "degrees"), [((32, 32, 32), 30), ((64, 64), 180), ((96, 48), 15)]
)
def test_angles_depend_on_the_patch(patch, degrees):
    (transform,) = spatial(nnunet_chain(configured(patch))).transforms
    assert transform.patch_size == patch
    for angle in (transform.angle_x, transform.angle_y, transform.angle_z):
        assert np.rad2deg(angle) == pytest.approx((-degrees, degrees))


def test_anisotropic_patches_are_turned_in_their_slices_and_not_made_coarser_across():
    chain = nnunet_chain(configured((8, 40, 40)))
    assert names(chain) == ["FoldSlices", USUAL[0], "UnfoldSlices", *USUAL[1:]]
    turn, coarser = chain.transforms[1], chain.transforms[7]
    assert turn.patch_size == (40, 40)
    assert np.rad2deg(turn.angle_x) == pytest.approx((-180, 180))
    assert coarser.ignore_axes == (0,)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ((128, 128, 128), (205, 205, 205)),
        # 246, 171 and 151 voxels after turns by 30°, divided by 0.85: 5.2 times as many voxels.
        ((64, 192, 160), (178, 289, 200)),
        ((8, 40, 40), (8, 47, 47)),
        ((8, 30, 60), (8, 70, 70)),
        ((64, 64), (75, 75)),
        ((40, 56), (65, 65)),
        # cos 15° · 96 + sin 15° · 48 = 105.2; the other axis does not grow by this turn.
        ((96, 48), (123, 56)),
    ],
)
def test_as_much_is_read_as_by_nnunet(patch, expected):
    assert source_size(patch) == expected
    assert nnunet_chain(configured(patch)).source_size == expected


def test_two_thirds_of_the_samples_are_neither_turned_nor_scaled():
    chain = spatial(nnunet_chain(configured((6, 6, 6))))
    generator = np.random.default_rng(0)
    source = generator.normal(size=(1000, 1, *chain.source_size)).astype(np.float32)
    np.random.seed(0)
    done = chain({"data": source.copy(), "seg": np.zeros_like(source)})
    low = (chain.source_size[0] - 6) // 2
    centre = source[(..., *(slice(low, low + 6),) * 3)]
    same = (done["data"] == centre).all(axis=(1, 2, 3, 4))
    assert done["data"].shape == (1000, 1, 6, 6, 6)
    assert 0.6 < same.mean() < 0.68  # 0.8 · 0.8


@pytest.mark.parametrize("patch", [(16, 16, 16), (4, 16, 16), (16, 16)])
def test_labels_stay_labels(patch):
    chain = spatial(nnunet_chain(configured(patch)))
    generator = np.random.default_rng(1)
    size = chain.source_size
    # 1 and 4 meet everywhere: a mixture of them would be 2 or 3. 7 stands for the ignore label.
    coarse = generator.choice([0, 1, 4, 7], (20, 1, *(-(-length // 4) for length in size)))
    seg = coarse
    for axis in range(2, seg.ndim):
        seg = seg.repeat(4, axis=axis)
    seg = seg[(..., *(slice(length) for length in size))]
    np.random.seed(2)
    done = chain({"data": np.zeros(seg.shape, np.float32), "seg": seg.astype(np.int32)})
    assert set(np.unique(done["seg"])) <= {-1, 0, 1, 4, 7}
    assert {1, 4, 7} <= set(np.unique(done["seg"]))


def test_nothing_moves_from_one_slice_of_an_anisotropic_patch_to_another():
    chain = spatial(nnunet_chain(configured((4, 16, 16))))
    slices = np.arange(1.0, 5.0).reshape(1, 1, 4, 1, 1)
    volume = np.broadcast_to(slices, (40, 1, *chain.source_size))
    np.random.seed(3)
    done = chain({"data": volume.astype(np.float32), "seg": volume.astype(np.int32)})
    # Beyond the source there is 0, and linear interpolation with it at its border.
    assert (done["data"] <= slices + 1e-6).all()
    inside = done["seg"] > 0
    assert (done["seg"] == np.broadcast_to(slices, done["seg"].shape))[inside].all()
    assert inside.mean() > 0.9


def test_volumes_are_turned_across_slices():
    chain = spatial(nnunet_chain(configured((16, 16, 16))))
    planes = np.arange(chain.source_size[0]).reshape(1, 1, -1, 1, 1)
    volume = np.broadcast_to(planes, (40, 1, *chain.source_size)).astype(np.float32)
    np.random.seed(3)
    done = chain({"data": volume.copy(), "seg": np.zeros(volume.shape, np.int32)})["data"]
    assert (np.ptp(done, axis=(3, 4)).max(axis=(1, 2)) > 1).sum() > 2


@pytest.mark.parametrize(("axes", "mirrored"), [((), set()), ((2,), {2}), ((0, 1), {0, 1})])
def test_only_the_plans_axes_are_mirrored(axes, mirrored):
    chain = nnunet_chain(configured((6, 6, 6), mirror_axes=axes))
    assert ("MirrorTransform" in names(chain)) == bool(axes)
    source = np.zeros((60, 1, *chain.source_size), np.int32)
    low = (chain.source_size[0] - 6) // 2
    corner = (slice(None), slice(None), low + 1, low + 1, low + 1)
    source[corner] = 1
    kept = [item for item in chain.transforms if type(item).__name__ != "SpatialTransform"]
    cropped = source[(..., *(slice(low, low + 6),) * 3)].copy()
    np.random.seed(0)
    done = replace(chain, transforms=tuple(kept))(
        {"data": cropped.astype(np.float32), "seg": cropped}
    )
    positions = np.argwhere(done["seg"][:, 0])[:, 1:]
    assert {axis for axis in range(3) if (positions[:, axis] == 4).any()} == mirrored
    assert set(np.unique(positions)) <= {1, 4}


def test_channels_that_were_normalised_with_a_mask_are_zero_outside_it():
    base = make_configuration()
    channels = tuple(replace(base.channels[0], use_mask=use) for use in (True, False))
    chain = nnunet_chain(configured((8, 8, 8), channels=channels))
    assert names(chain)[-2:] == ["MaskOutside", "RemoveLabelTransform"]
    assert chain.masked_channels == (0,)
    seg = np.zeros((30, 1, *chain.source_size), np.int32)
    seg[:, :, :, :, : chain.source_size[2] // 2] = -1
    data = np.ones((30, 2, *chain.source_size), np.float32)
    np.random.seed(0)
    noisy = replace(chain, transforms=tuple(_always(item) for item in chain.transforms))
    done = noisy({"data": data, "seg": seg})
    zero = (done["data"] == 0).mean(axis=(0, 2, 3, 4))
    assert 0.3 < zero[0] < 0.7
    assert zero[1] < 0.2
    assert done["seg"].min() == 0


def _always(transform):
    """A transform that changes every sample."""
    if hasattr(transform, "p_per_sample"):
        transform.p_per_sample = 1
    return transform


def test_every_channel_has_its_own_brightness():
    chain = nnunet_chain(configured((8, 8)))
    (brightness,) = [
        item for item in chain.transforms if type(item).__name__.startswith("Brightness")
    ]
    data = _always(brightness)(data=np.ones((1, 3, 8, 8), np.float32))["data"]
    assert len(np.unique(data)) == 3


def test_neighbouring_slices_are_one_channel_whose_intensities_change_alike():
    base = make_configuration()
    chain = nnunet_chain(configured((8, 8), num_slices=3, channels=base.channels * 2))
    data = np.ones((2, 6, *chain.source_size), np.float32)
    brightened = [
        _always(item)
        for item in chain.transforms
        if type(item).__name__
        in ("FoldSlices", "UnfoldSlices", "BrightnessMultiplicativeTransform")
    ]
    done = replace(chain, transforms=tuple(brightened))({"data": data})["data"]
    assert done.shape == data.shape
    assert len(np.unique(done)) == 4
    assert (done[:, 0] == done[:, 2]).all()
    whole = chain({"data": data, "seg": np.zeros((2, 1, *chain.source_size), np.int32)})
    assert whole["data"].shape == (2, 6, 8, 8)


def test_probabilities_of_a_previous_stage_are_turned_but_keep_their_values():
    stage = PreviousStage(names=("2d",), kind="probabilities")
    chain = nnunet_chain(configured((8, 8, 8), previous=stage))
    assert names(chain) == ["SpatialTransform", "MirrorTransform", "RemoveLabelTransform"]


def test_a_chain_travels_to_other_processes():
    chain = pickle.loads(pickle.dumps(nnunet_chain(configured((8, 40, 40)))))
    assert len(chain.transforms) == len(USUAL) + 2
