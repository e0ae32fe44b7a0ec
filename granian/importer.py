"""Finds the application that a target names: its module, its attribute, its factory.

Owns the syntax of targets and the messages of its errors. It runs in the process that serves the application.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigurationError
from .interfaces.fit import check_factory
from .near import near_attributes, near_modules

DEFAULT_ATTRIBUTE = "app"


def load_target(target: str, wd: Path | str | None = None, factory: bool = False) -> Any:
    """The application that `target` names; an asynchronous factory is awaited on a loop of its own."""
    app = find_target(target, wd)
    if not factory:
        return app
    loop = asyncio.new_event_loop()
    try:
        return finish_factory(app, loop, target)
    finally:
        loop.close()


def finish_factory(factory: Any, loop: asyncio.AbstractEventLoop, target: str = "the target") -> Any:
    """The application that the factory makes. An asynchronous factory is awaited on the loop, which must not run.

    # Errors
    `FatalError` if it is no factory.
    """
    check_factory(factory, target)
    made = factory()
    return loop.run_until_complete(_awaited(made)) if inspect.isawaitable(made) else made


def find_target(target: str, wd: Path | str | None = None) -> Any:
    """The object that `target` names, not called."""
    search = enter_working_dir(wd)
    path, attribute = get_import_components(target)
    if not path:
        raise ValueError(f"The target {target!r} names no module; give it as 'module:attribute'.")
    name = prepare_import(path, search)
    module = load_module(name, raise_on_failure=False)
    if module is None:
        raise RuntimeError(f"Could not import '{name}'.{near_modules(name, attribute, search)}")
    found: Any = module
    for part in (attribute or DEFAULT_ATTRIBUTE).split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            wanted = attribute or DEFAULT_ATTRIBUTE
            hint = near_attributes(path, found, part) if wanted == part else ""
            raise AttributeError(f"The module {path!r} has no attribute {wanted!r}.{hint}") from None
    return found


def get_import_components(path: str) -> list[str | None]:
    """`module:attribute` in two, at the first colon that is not a Windows drive's."""
    parts: list[str | None] = [*re.split(r":(?![\\/])", path, maxsplit=1)]
    return [part or None for part in [*parts, None][:2]]


def prepare_import(path: str, search: Sequence[Path] = ()) -> str:
    """Makes the module importable and gives its dotted name.

    `path` is a file, a folder or a dotted name; it is looked for in the folders of `search`, and if
    none has it, in the current one.
    """
    folder, name = _locate(path, search)
    if str(folder) not in sys.path:
        # A working directory stays in front of what was found elsewhere.
        sys.path.insert(1 if len(search) > 1 else 0, str(folder))
    return name


def patch_pypath(wd: Path | str | None) -> None:
    """Puts the working directory in front of the import path, or the current one without it."""
    entry = str(Path(wd).resolve()) if wd is not None else ""
    if entry in sys.path:
        sys.path.remove(entry)
    sys.path.insert(0, entry)


def enter_working_dir(wd: Path | str | None) -> list[Path]:
    """Makes `wd` the current folder and the first on the import path; gives where to look for targets."""
    launched_from = Path.cwd()
    if wd is None:
        return [launched_from]
    folder = Path(wd).resolve()
    os.chdir(folder)
    patch_pypath(folder)
    return [folder, launched_from]


def load_module(module_name: str, raise_on_failure: bool = True) -> Any:
    """Imports a module and says plainly which import has failed, this one or one inside it."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            if not raise_on_failure:
                return None
            raise RuntimeError(f"Could not import '{module_name}'.") from None
        raise _inner_error(module_name, error) from error
    except ImportError as error:
        raise _inner_error(module_name, error) from error


def load_env(files: Sequence[Path | str] | None) -> None:
    """Sets variables from the files, but none that the process has already."""
    build_env_loader()(files)


def build_env_loader() -> Callable[[Sequence[Path | str] | None], dict[str, str]]:
    """A function that applies environment files; variables that are set now win over all of them.

    It raises `ConfigurationError` if one cannot be read, and applies none then.
    """
    given = frozenset(os.environ)

    def load(files: Sequence[Path | str] | None) -> dict[str, str]:
        values = _read_env(files or ())
        new = {name: value for name, value in values.items() if name not in given}
        os.environ.update(new)
        return new

    return load


def _read_env(files: Sequence[Path | str]) -> dict[str, str]:
    values: dict[str, str] = {}
    if files:
        from dotenv import dotenv_values

        for file in files:
            try:
                found = dotenv_values(file)
            except (OSError, ValueError) as error:
                raise ConfigurationError("env_files", f"{file} cannot be read: {error}") from None
            values.update({name: value for name, value in found.items() if value is not None})
    return values


def _locate(path: str, search: Sequence[Path]) -> tuple[Path, str]:
    relative = Path(path)
    looks_like_file = path.endswith(".py") or "/" in path or os.sep in path
    for folder in search or [Path.cwd()]:
        file = Path(os.path.realpath(folder / relative))
        for candidate in (file, file.with_name(f"{file.name}.py")):
            if candidate.exists():
                return _package_root(candidate)
    if looks_like_file:
        return _package_root(Path(os.path.realpath((search or [Path.cwd()])[0] / relative)))
    return (search or [Path.cwd()])[0], path


def _package_root(file: Path) -> tuple[Path, str]:
    names = [file.name.removesuffix(".py")]
    if names == ["__init__"]:
        file = file.parent
        names = [file.name]
    folder = file.parent
    while (folder / "__init__.py").exists() and folder.parent != folder:
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(names)


def _inner_error(module_name: str, error: ImportError) -> RuntimeError:
    shown = error.__traceback__
    # The import's own frames come first.
    while shown is not None and shown.tb_frame.f_code.co_filename.startswith((__file__, importlib.__file__, FROZEN)):
        shown = shown.tb_next
    text = "".join(traceback.format_exception(type(error), error, shown))
    return RuntimeError(f"While importing '{module_name}', an ImportError was raised:\n\n{text}")


FROZEN = "<frozen importlib"


async def _awaited(made: Awaitable[Any]) -> Any:
    return await made
