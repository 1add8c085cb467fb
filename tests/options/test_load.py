from pathlib import Path

import pytest
from pydantic import ValidationError

from sr.options.generator import CompactOptions, SRResNetOptions
from sr.options.image_sources import HRFolders
from sr.options.load import dump_options, load_options
from sr.options.optimizers import AdamOptions, CosineOptions, MultiStepOptions
from sr.options.read_yaml import OptionsError
from sr.options.schema import Options

SMALLEST = """
name: a_run
scale: 4
generator: {type: SRResNet}
losses:
  pixel: {type: L1}
datasets:
  train:
    source: {type: HRFolders, hr: [photos]}
train:
  steps: 10
  optimizer: {type: Adam, learning_rate: 1e-4}
  schedule: {type: cosine}
"""
TWO_SETS = (
    "datasets.validation=[{name: a, source: {type: HRFolders, hr: [x]}},"
    " {name: b, source: {type: PairedFolders, hr: [y], lr: [z]}}]"
)

GENERATORS = (
    "SRResNet, MSRResNet, EDSR, RRDBNet, Compact, SPAN, RLFN, DBPN, RBPN, ISeeBetterSRResNet, "
    "BasicSR, Spandrel"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "options.yml"
    path.write_text(SMALLEST, encoding="utf-8")
    return path


def load_text(tmp_path: Path, text: str) -> Options:
    path = tmp_path / "options.yml"
    path.write_text(text, encoding="utf-8")
    return load_options(path)


def faults_of(file: Path, *overrides: str) -> list[str]:
    """The lines of the error below its first one."""
    with pytest.raises(OptionsError) as caught:
        load_options(file, overrides)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_the_smallest_file_loads_with_the_documented_defaults(file: Path) -> None:
    options = load_options(file)
    assert options.seed == 0
    assert options.generator == SRResNetOptions(type="SRResNet", num_features=64, num_blocks=16)
    assert options.datasets.train.source == HRFolders(type="HRFolders", hr=(Path("photos"),))
    assert options.datasets.validation == ()
    assert options.validate_.interval == 1000
    assert options.log.folder == Path("runs")
    assert options.train.clip_norm is None


def test_a_number_written_as_1e_minus_4_is_a_number(file: Path) -> None:
    optimizer = load_options(file).train.optimizer
    assert isinstance(optimizer, AdamOptions)
    assert optimizer.learning_rate == 0.0001
    pixel = load_options(file, ["losses.pixel.weight=2e-3"]).losses.pixel
    assert pixel is not None
    assert pixel.weight == 0.002


def test_options_cannot_be_changed_after_loading(file: Path) -> None:
    options = load_options(file)
    with pytest.raises(ValidationError, match="frozen"):
        options.train.steps = 3  # type: ignore[misc]  # that is the point


def test_all_faults_are_reported_at_once_with_the_file_and_their_keys(file: Path) -> None:
    overrides = [
        "trian.steps=1",
        "seed=-1",
        "scale=5",
        "generator.type=IMDN",
        "generator.num_features=0",
        "losses.pixel.wieght=1",
        "datasets.train.source.hr=photos",
        "datasets.train.batch_size=many",
        "train.optimizer.betas=[0.9, 1.5]",
    ]
    with pytest.raises(OptionsError) as caught:
        load_options(file, overrides)
    first, *faults = str(caught.value).splitlines()
    assert first == f"{file}: 8 faults"
    keys = [fault.strip().split(":")[0] for fault in faults]
    assert sorted(keys) == [
        "datasets.train.batch_size",
        "datasets.train.source.hr",
        "generator.type",
        "losses.pixel.wieght",
        "scale",
        "seed",
        "train.optimizer.betas.1",
        "trian",
    ]


def test_a_misspelt_key_is_answered_with_the_nearest_one_and_all_allowed(file: Path) -> None:
    assert faults_of(file, "trian=1") == [
        "trian: unknown key, did you mean 'train'?; allowed: datasets, discriminator, generator, "
        "log, losses, name, scale, seed, train, validate"
    ]


def test_allowed_keys_inside_a_union_are_those_of_the_chosen_type(file: Path) -> None:
    assert faults_of(file, "generator.num_block=3") == [
        "generator.num_block: unknown key, did you mean 'num_blocks'?; "
        "allowed: num_blocks, num_features, type"
    ]
    assert faults_of(file, "generator={type: Compact, blocks: 3}") == [
        "generator.blocks: unknown key; allowed: num_convs, num_features, type"
    ]


def test_the_key_is_validate_and_not_the_name_of_the_attribute(file: Path) -> None:
    assert load_options(file, ["validate.interval=7"]).validate_.interval == 7
    (fault,) = faults_of(file, "validate_.interval=7")
    assert fault.startswith("validate_: unknown key, did you mean 'validate'?")


def test_a_key_in_a_list_is_named_by_its_index(file: Path) -> None:
    assert faults_of(file, TWO_SETS, "datasets.validation.1.source.lr=z") == [
        "datasets.validation.1.source.lr: expected a list, such as [a, b], got 'z'"
    ]


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("generator", GENERATORS),
        ("losses.pixel", "L1, MSE, Charbonnier"),
        (
            "datasets.train.source",
            "HRFolders, PairedFolders, Synthetic, Mixed, FrameFolders, Vimeo90K, "
            "VideoFiles, MovingPhotos",
        ),
        ("train.optimizer", "Adam, AdamW, Muon, Adan, ScheduleFreeAdamW, SOAP, Prodigy"),
        ("train.schedule", "cosine, cosine_restarts, multi_step, constant"),
    ],
)
def test_an_unknown_or_missing_type_is_answered_with_the_allowed_ones(
    file: Path, key: str, allowed: str
) -> None:
    assert faults_of(file, f"{key}={{type: Quux}}") == [
        f"{key}.type: unknown type 'Quux'; allowed: {allowed}"
    ]
    assert faults_of(file, f"{key}={{}}") == [f"{key}.type: missing; allowed: {allowed}"]


def test_a_misspelt_type_is_answered_with_the_nearest_one(file: Path) -> None:
    assert faults_of(file, "generator.type=compact") == [
        f"generator.type: unknown type 'compact', did you mean 'Compact'?; allowed: {GENERATORS}"
    ]


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("scale=5", "scale: Input should be 1, 2, 3, 4 or 8, got 5"),
        ("seed=-1", "seed: Input should be greater than or equal to 0, got -1"),
        ("name=a/b", "name: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$', got 'a/b'"),
        ("train.steps=", "train.steps: Input should be a valid integer, got None"),
        ("train.ema_decay=1", "train.ema_decay: Input should be less than 1, got 1"),
        ("train.clip_norm=.inf", "train.clip_norm: Input should be a finite number, got inf"),
        ("datasets.train.cache_gib=.nan", "datasets.train.cache_gib: Input should be a finite "),
        ("log=", "log: expected a section of keys, got None"),
        ("generator=SRResNet", "generator: expected a section of keys, got 'SRResNet'"),
        ("datasets.train.source.hr=[]", "datasets.train.source.hr: List should have at least 1"),
        ("datasets.train.crop_size=98", "the whole file: datasets.train.crop_size: expected a "),
        (
            "train.schedule={type: multi_step, milestones: [5, 5]}",
            "train.schedule: milestones: expected rising steps, got [5, 5]",
        ),
        (
            TWO_SETS.replace("name: b", "name: a"),
            "datasets: validation: expected different names, got ['a', 'a']",
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_reported_with_its_key(
    file: Path, override: str, fault: str
) -> None:
    (line,) = faults_of(file, override)
    assert line.startswith(fault)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as caught:
        load_text(tmp_path, "name: a\nscale: 4\ntrain: {steps: 1}\n")
    for key in ("generator", "losses", "datasets", "train.optimizer", "train.schedule"):
        assert f"  {key}: missing" in str(caught.value).splitlines()


def test_overrides_set_nested_values_and_the_last_one_wins(file: Path) -> None:
    options = load_options(file, ["train.steps=5", "scale=2", "train.steps=6"])
    assert (options.train.steps, options.scale) == (6, 2)


def test_an_overrides_value_is_read_as_yaml(file: Path) -> None:
    options = load_options(
        file,
        [
            "train.schedule={type: multi_step, milestones: [3, 5]}",
            "datasets.train.source.hr=[a, b/c]",
            "datasets.train.flips=false",
            "datasets.train.description=x=1, y",
        ],
    )
    assert options.train.schedule == MultiStepOptions(type="multi_step", milestones=(3, 5))
    source = options.datasets.train.source
    assert isinstance(source, HRFolders)
    assert source.hr == (Path("a"), Path("b/c"))
    assert options.datasets.train.flips is False
    assert options.datasets.train.description == "x=1, y"


def test_an_override_reaches_into_a_list_by_index(file: Path) -> None:
    overrides = [TWO_SETS, "datasets.validation.1.name=c", "datasets.validation.1.source.lr.0=w"]
    first, second = load_options(file, overrides).datasets.validation
    assert first.name == "a"
    assert second.name == "c"
    assert second.source.model_dump()["lr"] == (Path("w"),)


def test_an_override_makes_a_section_that_the_file_lacks(file: Path) -> None:
    options = load_options(file, ["log.interval=3", "validate.interval=4"])
    assert (options.log.interval, options.validate_.interval) == (3, 4)


def test_a_partial_start_needs_a_file_to_start_from(file: Path) -> None:
    assert faults_of(file, "train.initial_partial=true") == [
        "train: initial_partial: expected initial_generator, the file to load from, got none"
    ]


def test_an_override_of_an_anchored_section_leaves_its_aliases_alone(tmp_path: Path) -> None:
    path = tmp_path / "options.yml"
    text = SMALLEST.replace("source: {", "source: &photos {")
    path.write_text(
        text.replace("\ntrain:", "\n  validation: [{name: a, source: *photos}]\ntrain:"), "utf-8"
    )
    options = load_options(path, ["datasets.train.source.hr=[others]"])
    sources = (options.datasets.train.source, options.datasets.validation[0].source)
    folders = [source.hr for source in sources if isinstance(source, HRFolders)]
    assert folders == [(Path("others"),), (Path("photos"),)]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps", "expected key.sub=value, e.g. train.steps=1000"),
        ("=3", "expected key.sub=value"),
        ("name.x=3", "'x' lies below a value, not a section"),
        ("scale.x.y=3", "'x' lies below a value, not a section"),
        ("datasets.train.source.hr.1=b", "'1' is no index of a list of 1"),
        ("datasets.train.source.hr.-1=b", "'-1' is no index of a list of 1"),
        ("datasets.train.source.hr.first=b", "'first' is no index of a list of 1"),
        ("train.steps=[1", "value is not valid YAML"),
        ("log={interval: 1, interval: 2}", "key 'interval' is given twice"),
    ],
)
def test_a_bad_override_is_refused_by_name(file: Path, override: str, message: str) -> None:
    with pytest.raises(OptionsError) as caught:
        load_options(file, [override])
    assert str(caught.value).startswith(f"override {override!r}: ")
    assert message in str(caught.value)


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    text = SMALLEST.replace("  steps: 10\n", "  steps: 10\n  steps: 20\n")
    with pytest.raises(OptionsError, match=r"options.yml: .*line 12, .*'steps' is given twice"):
        load_text(tmp_path, text)


def test_yaml_merge_keys_work_and_do_not_count_as_given_twice(tmp_path: Path) -> None:
    optimizer = "  optimizer: {type: Adam, learning_rate: 1e-4}\n  schedule: {type: cosine}\n"
    anchored = (
        "  optimizer: &adam {type: Adam, learning_rate: 1e-4}\n"
        "  schedule: {<<: *adam, type: cosine}\n"
    )
    with pytest.raises(OptionsError, match=r"train\.schedule\.learning_rate: unknown key"):
        load_text(tmp_path, SMALLEST.replace(optimizer, anchored))
    anchored = (
        "  optimizer: {type: Adam}\n"
        "  schedule: {<<: &half {type: cosine, final_factor: 0.5}, final_factor: 0.25}\n"
    )
    schedule = load_text(tmp_path, SMALLEST.replace(optimizer, anchored)).train.schedule
    assert schedule == CosineOptions(type="cosine", final_factor=0.25)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"nowhere\.yml: no such option file"):
        load_options(tmp_path / "nowhere.yml")


def test_a_folder_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    image = tmp_path / "image.yml"
    image.write_bytes(b"\x89PNG\r\n\x1a\n")
    for path in (tmp_path, image):
        with pytest.raises(OptionsError, match="cannot be read as a text file"):
            load_options(path)


def test_a_file_that_is_not_yaml_is_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"options\.yml: not valid YAML(.|\n)*line 2"):
        load_text(tmp_path, "name: a\nscale: ]\n")


@pytest.mark.parametrize("text", ["", "- a\n", "words\n"])
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(OptionsError, match="expected sections of options, got"):
        load_text(tmp_path, text)


def test_yaml_that_asks_for_python_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="not valid YAML"):
        load_text(tmp_path, "name: !!python/object/apply:os.getcwd []\n")


def test_dumped_options_load_to_the_same_options(file: Path, tmp_path: Path) -> None:
    options = load_options(
        file,
        [
            TWO_SETS,
            "generator={type: Compact, num_convs: 3}",
            "train.optimizer.learning_rate=1e-7",
            "train.clip_norm=1.5",
            "datasets.train.description='Süß: # no comment'",
        ],
    )
    text = dump_options(options)
    assert load_text(tmp_path, text) == options
    assert dump_options(load_text(tmp_path, text)) == text
    assert options.generator == CompactOptions(type="Compact", num_convs=3)


def test_dumped_options_hold_the_defaults_under_the_keys_of_the_file(file: Path) -> None:
    text = dump_options(load_options(file))
    assert "\nvalidate:\n  interval: 1000\n" in text
    assert "\n  num_blocks: 16\n" in text
    assert "validate_" not in text
