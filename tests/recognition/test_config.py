"""Recipes, files and flags of a training, and what is refused."""

from pathlib import Path

import pytest

from faltung.errors import ConfigError
from faltung.recognition import config


def test_flags_win_over_the_file_and_the_file_over_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("epochs: 5\nrate: 0.001\n")
    made = config.configure("mnist", file, {"epochs": 7})
    assert (made.epochs, made.rate, made.batch) == (7, 0.001, config.recipe("mnist").batch)


def test_a_saved_configuration_gives_itself_back(tmp_path: Path) -> None:
    made = config.configure("mnist", None, {"seed": 3, "widths": [[4], [5, 6]]})
    config.save(made, tmp_path / "c.yaml")
    assert config.configure(None, tmp_path / "c.yaml", {}) == made
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_a_folder_has_a_recipe_of_its_own() -> None:
    assert config.configure("some/folder", None, {}).source == "some/folder"
    assert config.configure(None, None, {}) == config.Config()


MESSAGES = [
    (
        {"epocs": 3},
        "there is no setting 'epocs': see `faltung train --help`; did you mean 'epochs'?",
    ),
    ({"zzz": 3}, "there is no setting 'zzz': see `faltung train --help`"),
    ({"epochs": 0}, "epochs is 0: it must be at least 1"),
    ({"epochs": 2.5}, "epochs is 2.5: it must be a whole number"),
    ({"epochs": True}, "epochs is True: it must be a whole number"),
    ({"rate": "fast"}, "rate is 'fast': it must be a number"),
    ({"rate": float("nan")}, "rate is nan: it must be above 0"),
    ({"channels_last": 1}, "channels_last is 1: it must be true or false"),
    ({"ema": 1.0}, "ema is 1.0: it must be at least 0 and below 1"),
    (
        {"widths": [[4], []]},
        "widths is [[4], []]: it must be lists of channel counts (1 to 4096), a list for each "
        "stage, such as [[32, 32], [64, 64]]",
    ),
    (
        {"widths": [[4, 0]]},
        "widths is [[4, 0]]: it must be lists of channel counts (1 to 4096), a list for each "
        "stage, such as [[32, 32], [64, 64]]",
    ),
    (
        {"widths": []},
        "widths is []: it must be lists of channel counts (1 to 4096), a list for each "
        "stage, such as [[32, 32], [64, 64]]",
    ),
]


@pytest.mark.parametrize(("fields", "message"), MESSAGES)
def test_what_is_wrong_is_said(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.configure("digits", None, fields)
    assert str(caught.value) == message


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("- 1\n")
    with pytest.raises(ConfigError) as caught:
        config.read(file)
    assert str(caught.value) == f"{file} holds no fields: write lines such as 'epochs: 30'"
    file.write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        config.read(file)
    with pytest.raises(ConfigError, match="No such file"):
        config.read(tmp_path / "none.yaml")
