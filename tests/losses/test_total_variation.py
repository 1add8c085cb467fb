from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sr.losses.total_variation import measure_absolute, measure_squared

each_term = pytest.mark.parametrize("term", [measure_squared, measure_absolute])


def published(x: Tensor) -> Tensor:
    """iSeeBetter's, as its formula stands: sums over the batch, counts of one image."""
    batch, channels, height, width = x.shape
    sum_h = (x[:, :, 1:, :] - x[:, :, :-1, :]).pow(2).sum()
    sum_w = (x[:, :, :, 1:] - x[:, :, :, :-1]).pow(2).sum()
    count_h, count_w = channels * (height - 1) * width, channels * height * (width - 1)
    return 2 * (sum_h / count_h + sum_w / count_w) / batch


def test_the_terms_of_four_pixels_calculated_by_hand() -> None:
    sr = torch.tensor([[0.0, 0.5], [1.0, 0.7]]).view(1, 1, 2, 2)
    # In height 1 and 0.2; in width 0.5 and -0.3.
    assert measure_squared(sr).item() == pytest.approx(1.04 / 2 + 0.34 / 2)
    assert measure_absolute(sr).item() == pytest.approx(1.2 / 2 + 0.8 / 2)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 3, 9, 14)])
def test_the_published_term_is_twice_the_squared_one(shape: tuple[int, ...]) -> None:
    sr = torch.rand(shape)
    torch.testing.assert_close(published(sr), 2 * measure_squared(sr))
    assert 2e-8 * published(sr).item() == pytest.approx(4e-8 * measure_squared(sr).item())


@each_term
def test_the_size_of_the_crop_does_not_matter(term: Callable[[Tensor], Tensor]) -> None:
    stripes = torch.rand(2, 3, 4, 1).repeat(1, 1, 8, 20)
    # Crops with whole periods of differences.
    small, large = term(stripes[:, :, :5, :3]), term(stripes[:, :, :29, :17])
    torch.testing.assert_close(small, large)
    across = stripes.transpose(2, 3)
    torch.testing.assert_close(term(across[:, :, :7, :9]), term(across[:, :, :19, :25]))


@each_term
def test_the_size_of_the_batch_does_not_matter(term: Callable[[Tensor], Tensor]) -> None:
    sr = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(term(sr), term(sr.repeat(5, 1, 1, 1)))


@each_term
def test_a_constant_image_has_none_and_no_gradient(term: Callable[[Tensor], Tensor]) -> None:
    sr = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    value = term(sr)
    assert value == 0
    (gradient,) = torch.autograd.grad(value, sr)
    assert (gradient == 0).all()


@each_term
def test_height_and_width_count_alike(term: Callable[[Tensor], Tensor]) -> None:
    sr = torch.rand(2, 3, 6, 9)
    torch.testing.assert_close(term(sr), term(sr.transpose(2, 3)))


def test_an_edge_costs_the_absolute_term_as_much_as_a_ramp_and_the_squared_one_more() -> None:
    ramp = torch.linspace(0, 1, 9).expand(1, 3, 9, 9)
    edge = (ramp > 0.5).float()
    torch.testing.assert_close(measure_absolute(edge), measure_absolute(ramp))
    assert measure_squared(edge) > 5 * measure_squared(ramp)


@each_term
def test_the_gradient_of_the_term_alone_reaches_sr(term: Callable[[Tensor], Tensor]) -> None:
    sr = (torch.arange(75.0).square().view(1, 3, 5, 5) / 5625).requires_grad_()
    (gradient,) = torch.autograd.grad(term(sr), sr)
    # Inside a ramp the absolute term lets a pixel move freely, but not at every channel's ends.
    assert (gradient.abs().amax(dim=(0, 2, 3)) > 0).all()
    with torch.no_grad():
        assert term(sr - 1e-3 * gradient) < term(sr)


@each_term
@pytest.mark.parametrize("size", [(1, 8), (8, 1)])
def test_an_image_without_neighbors_is_refused(
    term: Callable[[Tensor], Tensor], size: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=f"at least 2 x 2 px, .* {size[0]}, width {size[1]}"):
        term(torch.rand(1, 3, *size))
