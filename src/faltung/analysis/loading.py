"""A model from what a user names: a Python file or module and a name in it, or a trained run."""

import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from faltung.errors import ModelError
from faltung.recognition.checkpoint import BEST, open_run

FORMS = "name it as model.py:Net, package.module:Net, or the folder of a run of `faltung train`"


def load(target: str) -> tuple[torch.nn.Module, tuple[int, ...] | None]:
    """Return the model that a text names, and the sizes of its input where they are known.

    A class or a function is called without arguments; so the code of a named file or module runs.
    A trained run is not executed: its weights are read.

    Args:
        target: "model.py:Net", "package.module:Net", or a folder that holds a trained run.

    Raises:
        ModelError: There is no such file, module or name, it raises, or it gives no model.
        RunError: The folder is no trained run.
    """
    if Path(target).is_dir():
        return _run(Path(target))
    where, colon, name = target.rpartition(":")
    if not colon:
        where, name = target, ""
    with _found_from(where):
        module = _module(target, where)
        if not name:
            raise ModelError(f"{target} names no model in it: {_offered(module, where)}")
        model = _built(_named(module, name, where), target)
    return model, None


def _run(folder: Path) -> tuple[torch.nn.Module, tuple[int, ...]]:
    if not (folder / BEST).is_file() and list(folder.glob("*.py")):
        raise ModelError(f"{folder} is a folder: {FORMS}")
    opened = open_run(folder)
    return opened.model, (1, opened.frame.size, opened.frame.size)


@contextmanager
def _found_from(where: str) -> Iterator[None]:
    """Let imports find what lies beside the file, or in the working folder."""
    folder = str(Path(where).resolve().parent) if where.endswith(".py") else str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _module(target: str, where: str) -> ModuleType:
    file = Path(where)
    if where.endswith(".py"):
        if not file.is_file():
            raise ModelError(f"{where} does not exist: {FORMS}")
        executed: ModuleType = _guarded(where, lambda: _executed(file))
        return executed
    if not where or not all(part.isidentifier() for part in where.split(".")):
        raise ModelError(f"{target!r} is neither a file, a module nor a folder: {FORMS}")
    try:
        there = importlib.util.find_spec(where) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise ModelError(f"no module is named {where}: {FORMS}")
    imported: ModuleType = _guarded(where, lambda: importlib.import_module(where))
    return imported


def _executed(file: Path) -> ModuleType:
    name = f"faltung_model_{file.stem}"
    module = ModuleType(name)
    module.__file__ = str(file)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and others look their module up
    try:
        SourceFileLoader(name, str(file)).exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _guarded(what: str, make: Callable[[], Any]) -> Any:
    """Return what a user's code makes; what it raises is told with its last line."""
    try:
        return make()
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        text = f": {error}" if str(error) else ""
        raise ModelError(f"{what} raises {type(error).__name__}{text}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Return where in the user's code an error came from, where that is known."""
    if isinstance(error, SyntaxError):
        return ""  # its own text says so
    places = traceback.extract_tb(error.__traceback__)
    own = [p for p in places if p.filename != __file__ and "importlib" not in p.filename]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _named(module: ModuleType, name: str, where: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {close[0]}?" if close else f": {_offered(module, where)}"
            raise ModelError(f"{where} has no {name}{hint}")
        found = getattr(found, part)
    return found


def _offered(module: ModuleType, where: str) -> str:
    """Return the names of models that a module defines, as a sentence."""
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, torch.nn.Module)
        or (isinstance(value, type) and issubclass(value, torch.nn.Module))
    ]
    if not names:
        return "it defines no torch.nn.Module"
    return f"write one of {', '.join(f'{where}:{name}' for name in names)}"


def _built(found: Any, target: str) -> torch.nn.Module:
    model = found
    if not isinstance(found, torch.nn.Module) and callable(found):
        _without_arguments(found, target)
        model = _guarded(target, found)
    if not isinstance(model, torch.nn.Module):
        raise ModelError(
            f"{target} is a {type(model).__name__}: it must be a torch.nn.Module, its class, or a "
            f"function without arguments that returns one"
        )
    return model


def _without_arguments(found: Callable[..., Any], target: str) -> None:
    """Require that a class or a function can be called without arguments.

    Raises:
        ModelError: It cannot.
    """
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return
    wanted = [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}
    ]
    if wanted:
        raise ModelError(
            f"{target} needs arguments ({', '.join(wanted)}): add a function without arguments "
            f"that returns the model, and name that"
        )
