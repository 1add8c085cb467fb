import numpy as np
import pytest
import torch

from sr.losses.draws import make_draw
from sr.losses.s3im import S3IM


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    hr = torch.rand(2, 3, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (hr + 0.1).sqrt(), hr


def test_it_is_the_mean_ssim_of_windows_of_random_pixels() -> None:
    sr, hr = pair()
    draw = make_draw(seed=3, step=5)
    ours, theirs = (image.movedim(1, -1).reshape(-1, 3).numpy() for image in (sr, hr))
    scores = []
    for _ in range(2):
        order = torch.randperm(126, generator=draw).numpy()
        for start in range(0, 126 - 125 % 9, 9):
            for channel in range(3):
                x, y = (pixels[order[start : start + 9], channel] for pixels in (ours, theirs))
                luminance = (2 * x.mean() * y.mean() + 1e-4) / (
                    x.mean() ** 2 + y.mean() ** 2 + 1e-4
                )
                covariance = ((x - x.mean()) * (y - y.mean())).mean()
                scores.append(luminance * (2 * covariance + 9e-4) / (x.var() + y.var() + 9e-4))
    assert S3IM(2, 3, seed=3)(sr, hr, 5).item() == pytest.approx(1 - np.mean(scores), rel=1e-9)


def test_the_draw_follows_from_seed_and_step_alone() -> None:
    sr, hr = pair()
    torch.manual_seed(0)
    first = S3IM(1, 4, seed=0)(sr, hr, 7)
    torch.manual_seed(1)
    assert torch.equal(S3IM(1, 4, seed=0)(sr, hr, 7), first)
    assert not torch.equal(S3IM(1, 4, seed=0)(sr, hr, 8), first)
    assert not torch.equal(S3IM(1, 4, seed=1)(sr, hr, 7), first)


def test_the_draw_leaves_torchs_own_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    S3IM(1, 4, seed=0)(*pair(), 1)
    assert torch.equal(torch.rand(1), expected)
