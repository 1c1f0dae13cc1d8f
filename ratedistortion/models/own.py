"""Imports code of the user's own; every error in it becomes one line."""

import contextlib
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

from ratedistortion.errors import SettingsError
from ratedistortion.settings import code


def imported(family: str, name: str) -> Callable[..., Any]:
    """The function that a name stands for; its source is run once in a program.

    Args:
        family: That of the member which it builds.
        name: From `code.keep`, in this program.

    Raises:
        SettingsError: If the source raises, or has no such function.
    """
    found = code.kept(name)
    assert found is not None
    # The source is run from the bytes whose SHA-256 is stored: the file may have changed since, and
    # Python may have imported an older version of the module.
    key = name.replace(f":{found.function}@", "@")
    if key not in sys.modules:
        module = types.ModuleType(key)
        module.__file__, module.__package__ = found.path, found.package
        sys.modules[key] = module  # dataclasses look their module up while it is run
        try:
            with told(family, name):
                exec(compile(found.source, found.path, "exec", dont_inherit=True), vars(module))
        except BaseException:
            del sys.modules[key]
            raise
    build = getattr(sys.modules[key], found.function, None)
    if build is None:
        raise SettingsError(f"{family} {found.typed}: {found.path} has no {found.function}.")
    if not callable(build):
        raise SettingsError(
            f"{family} {found.typed}: {found.function} must be a function: got"
            f" {type(build).__name__}."
        )
    return build


@contextlib.contextmanager
def told(family: str, name: str) -> Iterator[None]:
    """Tells an exception of the user's code as one of the settings, with its file and line.

    Args:
        family: That of the member.
        name: Its setting; it may be one of ours.
    """
    try:
        yield
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        found = code.kept(name)
        lines = traceback.extract_tb(error.__traceback__)
        place = [line.lineno for line in lines if found and line.filename == found.path]
        if isinstance(error, SyntaxError):
            place.append(error.lineno)
        where = f", line {place[-1]} of {os.path.basename(found.path)}" if found and place else ""
        first_line = str(error).strip().partition("\n")[0]  # JAX goes on for a page
        what = f"{type(error).__name__}: {first_line}"
        raise SettingsError(f"{family} {code.shown(name)}{where}: {what}") from error
