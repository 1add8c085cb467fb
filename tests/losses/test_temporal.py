import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sr.losses.combined import CombinedLoss, WeightedTerm
from sr.losses.pixel import l1
from sr.losses.temporal import temporal_loss

SIZE = 12
RIGHT, DOWN = 2, -1  # where everything moves


def shifted(image: Tensor) -> Tensor:
    """The image (..., 3, 40, 40) cut where the second frame sees it, (..., 3, SIZE, SIZE)."""
    top, left = 10 - DOWN, 10 - RIGHT
    return image[..., top : top + SIZE, left : left + SIZE]


def pair(image: Tensor) -> Tensor:
    """Two frames of a scene (3, 40, 40): (2, 3, SIZE, SIZE)."""
    return torch.stack([image[:, 10 : 10 + SIZE, 10 : 10 + SIZE], shifted(image)])


def smooth(seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 6, 6), generator=random)
    return functional.interpolate(coarse, (40, 40), mode="bilinear")[0]


def motion(num_pairs: int = 1) -> Tensor:
    flow = torch.tensor([float(RIGHT), float(DOWN)]).view(1, 2, 1, 1)
    return flow.expand(num_pairs, 2, SIZE, SIZE).clone()


def inside() -> Tensor:
    """Pixels of the first frame that the second one has, (SIZE, SIZE)."""
    columns, rows = torch.arange(SIZE) + RIGHT, torch.arange(SIZE)[:, None] + DOWN
    return (rows >= 0) & (rows < SIZE) & (columns >= 0) & (columns < SIZE)


def test_equal_images_have_no_loss() -> None:
    hr = pair(smooth())
    assert temporal_loss(hr, hr, motion()) == 0


def test_an_error_that_moves_with_the_scene_has_no_loss() -> None:
    hr, error = pair(smooth()), pair(0.2 * torch.rand(3, 40, 40))
    assert temporal_loss(hr + 0.1, hr, motion()).item() == pytest.approx(0, abs=1e-7)
    assert temporal_loss(hr + error, hr, motion()).item() == pytest.approx(0, abs=1e-6)


def test_an_error_that_stands_still_or_flickers_has_a_loss() -> None:
    hr = pair(smooth())
    still = 0.2 * torch.rand(1, 3, SIZE, SIZE).expand(2, 3, SIZE, SIZE)
    flicker = torch.tensor([0.05, -0.05]).view(2, 1, 1, 1)
    assert temporal_loss(hr + still, hr, motion()) > 1e-3
    assert temporal_loss(hr + flicker, hr, motion()) > 0.01


def test_a_step_in_brightness_costs_its_size_on_every_pixel_that_is_seen_twice() -> None:
    hr = pair(smooth())
    step = torch.tensor([0.0, 0.1]).view(2, 1, 1, 1)
    expected = 0.1 * inside().float().mean().item()
    assert temporal_loss(hr + step, hr, motion()).item() == pytest.approx(expected, rel=1e-4)


def test_motion_the_wrong_way_round_has_a_loss() -> None:
    hr, error = pair(smooth()), pair(0.2 * torch.rand(3, 40, 40))
    assert temporal_loss(hr + error, hr, -motion()) > 1e-3


def test_a_change_that_the_originals_have_too_is_no_flicker() -> None:
    hr = pair(smooth()) + torch.tensor([0.0, 0.05]).view(2, 1, 1, 1)
    assert temporal_loss(hr + 0.1, hr, motion()).item() == pytest.approx(0, abs=1e-7)


def test_what_differs_in_the_originals_counts_less() -> None:
    hr = pair(smooth())
    flicker = torch.tensor([0.1, 0.0]).view(2, 1, 1, 1)
    plain = temporal_loss(hr + flicker, hr, motion())
    hr = hr + torch.tensor([0.0, 0.1]).view(2, 1, 1, 1)
    expected = torch.exp(torch.tensor(-50 * 3 * 0.1**2))
    torch.testing.assert_close(temporal_loss(hr + flicker, hr, motion()) / plain, expected)


def test_pixels_that_leave_the_crop_do_not_count() -> None:
    hr = pair(smooth())
    sr = hr.clone()
    sr[0, :, ~inside()] += 0.5
    assert not inside().all()
    assert temporal_loss(sr, hr, motion()) == 0
    far = torch.full((1, 2, SIZE, SIZE), 100.0)
    assert temporal_loss(hr + torch.rand_like(hr), hr, far) == 0


def test_the_crops_last_rows_and_columns_are_inside() -> None:
    hr = torch.full((2, 3, 47, 31), 0.5)
    step = torch.tensor([0.0, 0.1]).view(2, 1, 1, 1)
    loss = temporal_loss(hr + step, hr, torch.zeros(1, 2, 47, 31))
    assert loss.item() == pytest.approx(0.1, rel=1e-5)


def test_it_is_the_mean_over_the_pairs_that_stand_side_by_side() -> None:
    hrs = [pair(smooth(seed)) for seed in range(3)]
    srs = [hr + 0.1 * torch.rand_like(hr) for hr in hrs]
    alone = torch.stack([temporal_loss(sr, hr, motion()) for sr, hr in zip(srs, hrs, strict=True)])
    together = temporal_loss(torch.cat(srs), torch.cat(hrs), motion(3))
    torch.testing.assert_close(together, alone.mean())


def test_flipping_everything_changes_nothing() -> None:
    hr = pair(smooth())
    sr = hr + 0.1 * torch.rand_like(hr)
    mirrored = motion() * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(
        temporal_loss(sr.flip(-1), hr.flip(-1), mirrored), temporal_loss(sr, hr, motion())
    )


def test_the_gradient_of_the_term_alone_reaches_both_frames_of_sr() -> None:
    hr = pair(smooth())
    sr = (hr + 0.1 * torch.rand_like(hr)).requires_grad_()
    loss = temporal_loss(sr, hr, motion())
    (gradient,) = torch.autograd.grad(loss, sr)
    assert (gradient[0, :, inside()] != 0).all()
    assert (gradient[1] != 0).any()
    with torch.no_grad():
        assert temporal_loss(sr - 10 * gradient, hr, motion()) < loss


@pytest.mark.parametrize(("num_frames", "num_flows"), [(3, 1), (2, 2), (4, 1), (1, 1)])
def test_a_batch_that_does_not_consist_of_pairs_is_refused(num_frames: int, num_flows: int) -> None:
    hr = torch.rand(num_frames, 3, SIZE, SIZE)
    message = f"got {num_frames} frames and {num_flows} flows"
    with pytest.raises(ValueError, match=f"expected pairs of frames and a flow each, {message}"):
        temporal_loss(hr, hr, motion(num_flows))


def test_a_combined_loss_hands_the_motion_to_the_terms_that_want_it() -> None:
    hr = pair(smooth())
    sr = hr + 0.1 * torch.rand_like(hr)
    loss = CombinedLoss(
        {
            "l1": WeightedTerm(l1, 1.0),
            "temporal": WeightedTerm(temporal_loss, 3.0, ("sr", "hr", "motion")),
        }
    )
    total, terms = loss(sr, hr, motion=motion())
    torch.testing.assert_close(terms["temporal"], temporal_loss(sr, hr, motion()))
    torch.testing.assert_close(total, l1(sr, hr) + 3 * terms["temporal"])
    assert loss(sr, hr, {"temporal": 0.0})[1].keys() == {"l1"}  # off, it wants nothing


def test_images_without_motion_are_refused_by_a_term_that_wants_it() -> None:
    hr = pair(smooth())
    loss = CombinedLoss({"temporal": WeightedTerm(temporal_loss, 1.0, ("sr", "hr", "motion"))})
    with pytest.raises(ValueError, match="temporal term needs clips: expected motion"):
        loss(hr, hr)
