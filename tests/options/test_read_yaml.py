"""YAML that takes no more time and memory than its size, and messages that name the place."""

from pathlib import Path

import pytest

from sr.options.import_basicsr import import_basicsr
from sr.options.load import load_options
from sr.options.read_yaml import MAX_BYTES, MAX_LENGTH, MAX_VALUES, OptionsError, parse_yaml

BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  b: " + "[" * 1000 + "]" * 1000, r"line 2, column \d+, key a\.b\.0.*: .* 50 levels"),
        ("a: " + "{b: " * 1000 + "}" * 1000, r"line 1, .*key a\.b\.b.*: .* 50 levels"),
        ("- " * 1000 + "1", "at most 50 levels"),
        ("? " * 1000 + "1", "at most 50 levels"),
        ("x: &a " + "[" * 40 + "]" * 40 + "\ny: " + "[" * 30 + "*a" + "]" * 30, "50 levels"),
        (BOMB, rf"line 5, .*key a4\.\d: .*at most {MAX_VALUES} values, with those that aliases"),
        (MERGE_BOMB, f"at most {MAX_VALUES} values, with those that aliases repeat"),
        ("a: &a {b: [*a]}", r"line 1, column 12, key a\.b\.0: .*an alias of something else"),
        ("[" + "1," * MAX_VALUES + "]", f"at most {MAX_VALUES} values, got more"),
        ("a: " + "b" * (MAX_LENGTH + 1), f"key a: expected at most {MAX_LENGTH} characters"),
        ("seed: !!bool 5", "line 1, column 7, key seed: expected a value of type bool, got '5'"),
        ("seed: !!float x", "key seed: expected a value of type float, got 'x'"),
        ("seed: !!int ''", "key seed: expected a value of type int, got ''"),
        ("seed: " + "1" * 5000, r"key seed: expected a value of type int, got '1{40}\.\.\.'"),
        ("seed: 0x" + "f" * 5000, r"key seed: expected a value of type int, got '0xf+\.\.\.'"),
        ("seed: 1" + ":1" * 3000 + ".5", "key seed: expected a value of type float, got '1:1"),
        ("seed: 9223372036854775808", "key seed: expected a value of type int, got '9223"),
        ("a: {b: [1, !!timestamp x]}", r"key a\.b\.1: expected a value of type .*, got timestamp"),
        ("a: !!binary aGk=", "key a: expected a value of type .*, got binary"),
        ("a: !!set {x}", "key a: expected a value of type .*, got set"),
        ("a: !<" + "t" * 5000 + "> x", r"key a: expected a value of type .*, got t{40}\.\.\.$"),
        ("{[a]: b}", "line 1, column 2: .*unhashable"),
        ("a: \x1b", "x001b: special characters are not allowed"),
        ("a: 1\n--- b", "line 2, column 1: .*another document"),
    ],
)
def test_yaml_out_of_proportion_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(OptionsError, match=f"^not valid YAML: .*{message}"):
        parse_yaml(text)


def test_dates_stay_texts_and_numbers_numbers() -> None:
    text = "{a: 2020-01-01, b: 1e-4, c: 1.5, d: 0x10, e: yes, f: ~, g: 9223372036854775807}"
    expected = {"a": "2020-01-01", "b": "1e-4", "c": 1.5, "d": 16, "e": True, "f": None}
    assert parse_yaml(text) == {**expected, "g": 2**63 - 1}


def test_aliases_and_merges_within_the_limits_work() -> None:
    text = "a: &a {x: 1}\nb: {<<: *a, y: [*a, *a]}"
    assert parse_yaml(text) == {"a": {"x": 1}, "b": {"x": 1, "y": [{"x": 1}] * 2}}


def test_option_files_out_of_proportion_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yml"
    path.write_text(f"generator:\n  options:\n    b: [1, !!bool 5]\n{BOMB}")
    with pytest.raises(OptionsError, match=r"bomb\.yml: not valid YAML: line .*key a4\."):
        load_options(path)
    path.write_text("generator: {options: {b: [1, !!bool 5]}}")
    with pytest.raises(OptionsError, match=r"bomb\.yml: .*key generator\.options\.b\.1: "):
        load_options(path)
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(OptionsError, match=r"bomb\.yml: expected an option file of at most"):
        load_options(path)


def test_an_override_out_of_proportion_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("name: a")
    with pytest.raises(OptionsError, match="override 'seed=!!bool 5': value is not valid YAML"):
        load_options(tmp_path / "a.yml", ["seed=!!bool 5"])


@pytest.mark.parametrize("text", [BOMB, "a: " + "[" * 1000, "scale: !!timestamp x"])
def test_files_of_basicsr_have_the_same_limits(text: str) -> None:
    with pytest.raises(OptionsError, match="not valid YAML: line"):
        import_basicsr(text)
