"""The translation of whole files: nothing is lost, and what has no place is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.basicsr_files import (
    EDSR,
    ESRGAN,
    MSRRESNET,
    REAL_ESRGAN,
    KeyPath,
    change,
    find_line,
    get_value,
    load,
)

from sr.options.import_basicsr import Translation, import_basicsr


@pytest.fixture(
    params=[MSRRESNET, EDSR, ESRGAN, REAL_ESRGAN], ids=["MSRResNet", "EDSR", "ESRGAN", "Real"]
)
def text(request: pytest.FixtureRequest) -> str:
    """Each of the files in turn."""
    return str(request.param)


def leaves(tree: dict[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield *above, key


def sections(tree: dict[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    yield above
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from sections(value, (*above, key))


def another(value: Any) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}_another"
    if isinstance(value, list):
        return [another(value[0]), *value[1:]]
    return "something"


def settings(imported: Translation) -> list[str]:
    """Our file without its comments."""
    return [line for line in imported.text.splitlines() if not line.startswith("#")]


def test_the_result_loads(text: str, tmp_path: Path) -> None:
    loaded = load(text, tmp_path)
    assert loaded.scale == 4
    assert loaded.validate_.interval == 5000
    assert loaded.log.interval == 200
    assert loaded.train.checkpoint_interval == 6000


def test_no_value_is_lost(text: str) -> None:
    """Another value of any key gives other settings, a line in the list, or a refusal."""
    before = import_basicsr(text)
    tree = yaml.safe_load(text)
    for path in leaves(tree):
        try:
            after = import_basicsr(change(tree, path, another(get_value(tree, path))))
        except ValueError:
            continue
        assert (settings(after), after.unused) != (settings(before), before.unused), path


def test_a_key_that_nobody_knows_is_listed_wherever_it_is(text: str) -> None:
    tree = yaml.safe_load(text)
    for path in sections(tree):
        if path and path[-1] in ("layer_weights", "datasets"):
            continue  # its keys are names
        dotted = ".".join((*path, "novelty"))
        assert find_line(change(tree, (*path, "novelty"), 5), dotted).startswith(f"{dotted}: 5 -- ")


def test_the_list_is_a_comment_of_the_file(text: str) -> None:
    imported = import_basicsr(text)
    assert imported.text.startswith("# yaml-language-server: $schema=")
    assert imported.unused
    assert all(f"\n#   {line}\n" in imported.text for line in imported.unused)


def test_odd_characters_stay_in_the_comment(tmp_path: Path) -> None:
    text = change(
        yaml.safe_load(MSRRESNET), ("logger", "a\nscale: 2"), "b\nscale: 3\x85\x7f\u2028scale: 2"
    )
    assert load(text, tmp_path).scale == 4


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("network_g", "type"), 5, "network_g.type: expected a text, got 5"),
        (("network_d", "type"), "StyleGAN2", "one of VGGStyleDiscriminator, UNetDiscriminatorSN"),
        (("model_type",), "EDVRModel", "model_type: expected one of SRModel"),
        (("network_d",), ..., "network_d: expected with model_type ESRGANModel"),
        (("network_g", "num_in_ch"), 1, "network_g.num_in_ch: expected 3"),
        (("train", "total_iter"), "many", "train.total_iter: expected a number, got 'many'"),
        (("train", "total_iter"), 10.5, "train.total_iter: expected a whole number, got 10.5"),
        (("train", "optim_g", "lr"), ..., "train.optim_g.lr: expected a number, got nothing"),
        (("train", "optim_g", "lr"), 0, "train.optim_g.lr: expected a number above 0, got 0"),
        (("train", "optim_g", "type"), "RAdam", "expected one of Adam, AdamW, got 'RAdam'"),
        (("train", "scheduler", "type"), "OneCycle", "train.scheduler.type: expected one of"),
        (("train", "perceptual_opt", "criterion"), "fro", "expected one of l1, l2"),
        (("datasets", "train", "type"), "REDSDataset", "datasets.train.type: expected one of"),
        (("datasets", "train", "gt_size"), 130, "crop_size: expected a multiple of scale 4"),
        (("train", "gan_opt", "loss_weight"), 0, "adversarial.weight"),
        (("train",), ..., "expected a training file of BasicSR.* there is no train among: datas"),
    ],
)
def test_what_has_no_place_is_refused(path: KeyPath, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_basicsr(change(yaml.safe_load(ESRGAN), path, value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("a: !!float x", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("- 1", "expected a training file of BasicSR.*got list"),
        ("", "expected a training file of BasicSR.*got NoneType"),
        ("network_g: {}\ndatasets: {}\ntrain: &a {b: *a}", "an alias of something else"),
    ],
)
def test_another_kind_of_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_basicsr(text)


def test_our_own_files_are_refused(repository: Path) -> None:
    for path in (repository / "options" / "train").glob("*.yml"):
        with pytest.raises(ValueError, match="there is no network_g"):
            import_basicsr(path.read_text(encoding="utf-8"))
