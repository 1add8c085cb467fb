import numpy as np
import torch
from helpers.images import draw_texture

from sr.motion.warp import find_consistent, locate_pixels, sample, warp, warp_image


def test_warping_by_the_flow_brings_the_other_image_here() -> None:
    wide = draw_texture(80, 100)
    a, b = wide[10:70, 10:90], wide[8:68, 7:87]
    flow = np.full((60, 80, 2), [3, 2], np.float32)
    assert np.allclose(warp_image(b, flow)[:-2, :-3], a[:-2, :-3], atol=1e-6)
    assert not np.allclose(warp_image(b, -flow), a, atol=0.1)


def test_warping_by_half_a_pixel_keeps_a_ramp() -> None:
    ramp = np.tile(np.arange(40, dtype=np.float32), (20, 1))
    flow = np.full((20, 40, 2), [0.5, 0], np.float32)
    assert np.allclose(warp_image(ramp, flow)[:, 2:-3], ramp[:, 2:-3] + 0.5, atol=1e-4)


def test_channels_are_warped_alike() -> None:
    image = draw_texture(24, 32)
    flow = np.random.default_rng(1).normal(0, 2, (24, 32, 2)).astype(np.float32)
    both = warp_image(np.stack([image, image[::-1]], axis=-1), flow)
    assert np.allclose(both[..., 0], warp_image(image, flow), atol=1e-6)
    assert both.shape == (24, 32, 2)


def test_tensors_and_arrays_are_warped_alike() -> None:
    image = draw_texture(24, 32)
    flow = np.random.default_rng(1).normal(0, 2, (24, 32, 2)).astype(np.float32)
    moved, inside = warp(
        torch.from_numpy(image)[None, None],
        torch.from_numpy(flow).permute(2, 0, 1)[None],
        "bicubic",
    )
    across, down = np.arange(32) + flow[..., 0], np.arange(24)[:, None] + flow[..., 1]
    expected = (across >= 0) & (across <= 31) & (down >= 0) & (down <= 23)
    assert np.array_equal(inside[0].numpy(), expected)
    # OpenCV counts in 1/32 pixel, and takes the border's pixels in another way.
    well_inside = (across >= 2) & (across <= 29) & (down >= 2) & (down <= 21)
    assert np.abs(moved[0, 0].numpy() - warp_image(image, flow))[well_inside].max() < 0.03


def test_places_on_pixels_are_those_pixels_and_beyond_the_border_its_pixels() -> None:
    images = torch.rand(2, 3, 5, 7)
    places = locate_pixels(3, 4, top=1, left=2)
    assert places[:, 2, 3].tolist() == [5, 3]
    part = sample(images, places.expand(2, 2, 3, 4))
    torch.testing.assert_close(part, images[:, :, 1:4, 2:6])
    corner = sample(images, torch.full((2, 2, 1, 1), 100.0))
    torch.testing.assert_close(corner, images[:, :, -1:, -1:])


def test_a_flow_is_consistent_where_it_stays_inside_and_is_led_back() -> None:
    flow = torch.tensor([2.0, -1.0]).expand(9, 12, 2)
    expected = torch.zeros(9, 12, dtype=torch.bool)
    expected[1:, :-2] = True
    assert torch.equal(find_consistent(flow, -flow), expected)
    assert not find_consistent(flow, flow).any()
    backward = torch.zeros(9, 12, 2)
    backward[3:5, 4:8] = 5  # what is there comes from elsewhere
    still = find_consistent(torch.zeros(9, 12, 2), backward)
    assert still.sum() == 9 * 12 - 2 * 4
    assert not still[3:5, 4:8].any()
