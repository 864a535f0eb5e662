"""The configuration of a training: one dataclass, a recipe for each data set, a file, flags."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from faltung.errors import ConfigError
from faltung.recognition.augment import Augmentation
from faltung.recognition.files import write_text


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides the outcome of a training.

    Attributes:
        source: `digits`, `mnist`, or a folder with one sub-folder of images a class.
        seed: Where all randomness comes from: weights, order, augmentation.
        epochs: Passes over the training part.
        batch: Images a step; what does not fill a last batch waits for another epoch.
        rate: Highest learning rate of AdamW.
        warmup: Fraction of all steps in which the rate rises; then it falls as a cosine to 0.
        weight_decay: Decay of kernels and matrices (not of biases and norms).
        label_smoothing: Share of probability that the target gives to all classes alike.
        ema: Decay of the moving average of weights, which is what is evaluated and kept.
        patience: Epochs without a better validation result after which the training stops.
        validation: Fraction of the training part that is kept out to choose the best weights.
        widths: Output channels of the convolutions; a pool ends every inner tuple but the last.
        first_kernel: Window of the first convolution; the others are 3x3.
        shift: Augmentation: fraction of the image side.
        rotation: Augmentation: degrees.
        scale: Augmentation: 0.1 draws factors from 0.9 to 1.1.
        shear: Augmentation: degrees.
        channels_last: Keep tensors in the memory format `channels_last`.
    """

    source: str = "digits"
    seed: int = 0
    epochs: int = 30
    batch: int = 64
    rate: float = 4e-3
    warmup: float = 0.15
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    ema: float = 0.98
    patience: int = 30
    validation: float = 0.1
    widths: tuple[tuple[int, ...], ...] = ((32, 32), (64, 64))
    first_kernel: int = 3
    shift: float = 0.0625
    rotation: float = 10.0
    scale: float = 0.1
    shear: float = 5.7
    channels_last: bool = True

    @property
    def augmentation(self) -> Augmentation:
        """The ranges of the random changes of the training images."""
        return Augmentation(self.shift, self.rotation, self.scale, self.shear)


_PICTURES: dict[str, Any] = {
    "epochs": 12,
    "batch": 128,
    "rate": 3e-3,
    "warmup": 0.1,
    "ema": 0.998,
    "patience": 12,
    "widths": ((16,), (32, 48), (64, 96)),
    "first_kernel": 5,
    "shift": 2 / 28,
    "rotation": 12.0,
}
RECIPES: dict[str, dict[str, Any]] = {"digits": {}, "mnist": {**_PICTURES, "validation": 0.05}}
FOLDER_RECIPE: dict[str, Any] = {**_PICTURES, "epochs": 30, "batch": 64, "ema": 0.99}

_RULES: dict[str, tuple[float, float, str]] = {
    "seed": (0, 2**63 - 1, "at least 0"),
    "epochs": (1, 100_000, "at least 1"),
    "batch": (2, 1_000_000, "at least 2, for the batch norm"),
    "rate": (1e-12, 1e3, "above 0"),
    "warmup": (0, 1, "a fraction of all steps, 0 to 1"),
    "weight_decay": (0, 1e3, "at least 0"),
    "label_smoothing": (0, 0.999, "at least 0 and below 1"),
    "ema": (0, 0.999999, "at least 0 and below 1"),
    "patience": (1, 1_000_000, "at least 1"),
    "validation": (1e-6, 0.9, "above 0 and at most 0.9: the best weights are chosen by it"),
    "first_kernel": (1, 15, "1 to 15"),
    "shift": (0, 0.999, "at least 0 and below 1"),
    "rotation": (0, 359, "0 to 359 degrees"),
    "scale": (0, 0.999, "at least 0 and below 1"),
    "shear": (0, 89, "0 to 89 degrees"),
}


def recipe(source: str) -> Config:
    """Return the defaults for a data set."""
    return make({"source": source, **RECIPES.get(source, FOLDER_RECIPE)})


def configure(source: str | None, file: Path | None, flags: Mapping[str, Any]) -> Config:
    """Return the configuration of a training: recipe, then file, then flags.

    Args:
        source: The data set named on the command line; None takes the file's, or `digits`.
        file: A YAML file with any fields of `Config`.
        flags: Fields given on the command line.

    Raises:
        ConfigError: The file cannot be read, or a field is unknown or breaks its rule.
    """
    given = read(file) if file is not None else {}
    source = source or given.get("source", "digits")
    base = RECIPES.get(str(source), FOLDER_RECIPE)
    return make({**base, **given, **flags, "source": source})


def read(file: Path) -> dict[str, Any]:
    """Return the fields in a YAML file.

    Raises:
        ConfigError: It cannot be read, or holds no fields.
    """
    try:
        fields = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file} cannot be read as YAML: {reason}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{file} holds no fields: write lines such as 'epochs: 30'")
    return fields


def make(fields: Mapping[str, Any]) -> Config:
    """Return a configuration with these fields, the others at their defaults.

    Raises:
        ConfigError: A field is unknown, of another type, or out of range.
    """
    hints = typing.get_type_hints(Config)
    checked = {}
    for name, value in fields.items():
        if name not in hints:
            close = difflib.get_close_matches(str(name), hints, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"there is no setting {str(name)!r}: see `faltung train --help`{hint}"
            )
        checked[name] = _checked(name, value, hints[name])
    return Config(**checked)


def save(config: Config, file: Path) -> None:
    """Write a configuration as YAML that `read` and `--config` take, atomically."""
    fields = dataclasses.asdict(config)
    fields["widths"] = [list(stage) for stage in config.widths]
    write_text(file, yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def _checked(name: str, value: Any, kind: Any) -> Any:
    if isinstance(kind, types.GenericAlias):
        return _widths(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        what = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
        raise ConfigError(f"{name} is {value!r}: it must be {what}")
    if name in _RULES:
        least, most, rule = _RULES[name]
        if not least <= value <= most:
            raise ConfigError(f"{name} is {value}: it must be {rule}")
    return value


def _widths(value: Any) -> tuple[tuple[int, ...], ...]:
    stages = value if isinstance(value, (list, tuple)) else ()
    for stage in stages:
        if not isinstance(stage, (list, tuple)) or not stage:
            break
        if any(type(width) is not int or not 1 <= width <= 4096 for width in stage):
            break
    else:
        if stages:
            return tuple(tuple(stage) for stage in stages)
    raise ConfigError(
        f"widths is {value!r}: it must be lists of channel counts (1 to 4096), a list for each "
        f"stage, such as [[32, 32], [64, 64]]"
    )
