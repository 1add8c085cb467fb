import pytest
import torch

from sr.networks.edsr import EDSR


@pytest.mark.parametrize(
    ("scale", "upsample"),
    [
        (2, {0: 256}),
        (3, {0: 576}),
        (4, {0: 256, 2: 256}),
        (8, {0: 256, 2: 256, 4: 256}),
    ],
)
def test_the_state_dict_has_the_keys_and_shapes_of_basicsr(
    scale: int, upsample: dict[int, int]
) -> None:
    expected = {"conv_first": (64, 3), "conv_after_body": (64, 64), "conv_last": (3, 64)}
    for block in range(16):
        expected |= {f"body.{block}.conv1": (64, 64), f"body.{block}.conv2": (64, 64)}
    expected |= {f"upsample.{place}": (width, 64) for place, width in upsample.items()}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (out_width, in_width) in expected.items():
        shapes[f"{layer}.weight"] = (out_width, in_width, 3, 3)
        shapes[f"{layer}.bias"] = (out_width,)
    with torch.device("meta"):
        state = EDSR(scale).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes


def test_the_last_layer_adds_255ths_to_the_mean_of_div2k() -> None:
    network = EDSR(2, num_features=4, num_blocks=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.conv_last.bias.fill_(2 * 255.0)  # type: ignore[union-attr]  # made with a bias
        sr = network(torch.rand(1, 3, 4, 5))
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    torch.testing.assert_close(sr, 2 + mean.expand_as(sr))


def test_the_first_layer_reads_the_difference_from_the_mean_in_255ths() -> None:
    network = EDSR(2, num_features=4, num_blocks=1)
    seen = []
    network.conv_first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0.0, 0.4371, 1.0]).view(1, 3, 1, 1))
    expected = torch.tensor([-0.4488 * 255, 0, 0.596 * 255]).view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], expected)


def test_blocks_of_residual_scale_zero_do_nothing() -> None:
    scaled, empty = EDSR(2, 4, 2, residual_scale=0.0), EDSR(2, 4, 0)
    empty.load_state_dict(
        {key: value for key, value in scaled.state_dict().items() if not key.startswith("body.")}
    )
    lr = torch.rand(1, 3, 5, 4)
    assert torch.equal(scaled(lr), empty(lr))
