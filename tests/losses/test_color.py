import pytest
import torch
from torch import Tensor

from sr.losses.color import color_loss, convert_to_oklab


def plain(*rgb: float) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("linear", "oklab"),  # of the primaries in sRGB, as Ottosson's code gives them
    [
        ((1, 1, 1), (1.0, 0.0, 0.0)),
        ((1, 0, 0), (0.6279554, 0.2248631, 0.1258463)),
        ((0, 1, 0), (0.8664396, -0.2338874, 0.1794985)),
        ((0, 0, 1), (0.4520137, -0.0324570, -0.3115281)),
    ],
)
def test_the_primaries_are_those_of_oklab(
    linear: tuple[float, ...], oklab: tuple[float, ...]
) -> None:
    converted = convert_to_oklab(plain(*linear))[0, :, 0, 0]
    assert converted.tolist() == pytest.approx(oklab, abs=2e-4)


def test_grays_have_no_color_down_to_black_and_below() -> None:
    for level in (-0.1, 0.0, 0.001, 0.2):
        assert convert_to_oklab(plain(*(level,) * 3))[0, 1:, 0, 0].abs().max() < 1e-3


def test_the_cube_root_goes_on_as_its_tangent() -> None:
    knee = (6 / 29) ** 3
    levels = torch.tensor([knee - 1e-6, knee + 1e-6], dtype=torch.float64)
    light = convert_to_oklab(levels.view(2, 1, 1, 1).expand(2, 3, 1, 1))[:, 0]
    slope = (light[1] - light[0]).item() / 2e-6
    assert slope == pytest.approx(1 / (3 * knee ** (2 / 3)), rel=1e-3)


def test_it_is_the_difference_of_the_colors() -> None:
    """sRGB's red and blue are linear, too, at 0 and 1."""
    value = color_loss(plain(1, 0, 0), plain(0, 0, 1), pool_size=8)
    ours, theirs = (0.6279554, 0.2248631, 0.1258463), (0.4520137, -0.0324570, -0.3115281)
    expected = sum(abs(x - y) for x, y in zip(ours, theirs, strict=True)) / 3
    assert value.item() == pytest.approx(expected, abs=2e-4)


def test_detail_inside_of_a_square_does_not_count() -> None:
    hr = torch.rand(1, 3, 8, 8)
    order = torch.randperm(16)
    sr = hr.clone()
    sr[..., :4, :4] = hr[..., :4, :4].flatten(2)[..., order].view(1, 3, 4, 4)
    assert color_loss(sr, hr, pool_size=4).item() == pytest.approx(0, abs=1e-6)
    assert color_loss(sr, hr, pool_size=1) > 0.01


def test_an_image_smaller_than_a_square_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 x 8 px, got height 8, width 7"):
        color_loss(torch.rand(1, 3, 8, 7), torch.rand(1, 3, 8, 7), pool_size=8)
