import numpy as np
import pytest
import torch
from torch import Tensor

from sr.losses.ldl import LDL, artifact_loss, find_artifacts


def triple() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    sr, hr, averaged = torch.rand(3, 2, 3, 9, 10, dtype=torch.float64)
    return sr, hr, averaged


def test_the_map_is_the_papers() -> None:
    sr, hr, averaged = triple()
    for index, found in enumerate(find_artifacts(sr, hr, averaged)[:, 0].numpy()):
        residual = (hr - sr).abs().sum(1)[index].numpy()
        better = residual < (hr - averaged).abs().sum(1)[index].numpy()
        assert 0.2 < better.mean() < 0.8
        padded = np.pad(residual, 3, mode="reflect")
        for (y, x), value in np.ndenumerate(found):
            window = padded[y : y + 7, x : x + 7]
            expected = residual.var(ddof=1) ** 0.2 * window.var(ddof=1)
            assert value == pytest.approx(0 if better[y, x] else expected, rel=1e-9)


def test_the_term_is_l1_under_the_map_which_has_no_gradient() -> None:
    sr, hr, averaged = triple()
    weights = find_artifacts(sr, hr, averaged)
    sr.requires_grad_()
    value = artifact_loss(sr, hr, averaged)
    assert value.item() == pytest.approx((weights * (sr - hr).abs()).mean().item())
    (gradient,) = torch.autograd.grad(value, sr)
    torch.testing.assert_close(gradient, weights * (sr - hr).detach().sign() / sr.numel())


def test_the_averaged_weights_see_all_inputs_and_get_no_gradient() -> None:
    averaged = torch.nn.Conv2d(3, 3, 1)
    hr, lr = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)

    def upscale(image: Tensor, neighbors: Tensor) -> Tensor:
        result: Tensor = averaged(image) + neighbors
        return result

    sr = torch.rand(1, 3, 8, 8, requires_grad=True)
    value = LDL(upscale)(sr, hr, (lr, torch.tensor(0.5)))
    value.backward()
    expected = artifact_loss(sr, hr, averaged(lr).detach() + 0.5)
    torch.testing.assert_close(value, expected)
    assert sr.grad is not None
    assert averaged.weight.grad is None


def test_where_sr_is_what_the_averaged_weights_make_it_all_counts() -> None:
    """So it is in the first step."""
    sr, hr, _ = triple()
    assert (find_artifacts(sr, hr, sr) > 0).all()
