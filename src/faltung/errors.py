"""The tree of errors: everything this library raises on purpose is a `FaltungError`.

Each type also derives from the built-in type that callers of torch or of the standard library
would catch. A message names the argument, its value, the rule and the remedy.
"""


class FaltungError(Exception):
    """Root of all errors raised on purpose by this library."""


class ShapeError(FaltungError, ValueError):
    """Sizes that do not fit: channels, groups, a window larger than its padded input."""


class ArgumentError(FaltungError, ValueError):
    """An argument outside its own rule, whatever the tensors are: stride 0, an unknown padding."""


class DtypeError(FaltungError, TypeError):
    """Element types that the operation does not take, or that differ between arguments."""


class DeviceError(FaltungError, RuntimeError):
    """Tensors on different devices."""


class DataError(FaltungError, ValueError):
    """A file or a data set that cannot be used."""


class RunError(FaltungError, RuntimeError):
    """A run folder or a checkpoint that is missing, damaged or of another network."""


class ConfigError(FaltungError, ValueError):
    """A training configuration with an unknown name or a value outside its rule."""


class TrainingError(FaltungError, RuntimeError):
    """A training that cannot go on, such as a loss that is not a number."""


class MissingExtraError(FaltungError, ImportError):
    """An optional dependency that is not installed; the message holds the line that installs it."""


class ModelError(FaltungError, RuntimeError):
    """A model that cannot be loaded, run or captured."""
