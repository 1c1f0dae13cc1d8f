"""Code of the user's own that builds a member of a family: settings hold its name and its SHA-256.

Only what this program was told to use is kept here, so nothing that a stored setting names is ever
imported: a run directory can come from a stranger.
"""

import hashlib
import os
import re
from typing import NamedTuple

from ratedistortion.errors import SettingsError

_STORED = re.compile(r".+:\w+@sha256:[0-9a-f]{64}")


class Code(NamedTuple):
    """A function that builds a member, and the source that it is in.

    Attributes:
        typed: How the user named it.
        path: Of the source file.
        package: Where its relative imports start; empty for a file outside of a package.
        source: The content of the file as it was when it was named.
        function: The name of the function.
    """

    typed: str
    path: str
    package: str
    source: bytes
    function: str


# Name -> what it stands for. It lives as long as the program does.
_KEPT: dict[str, Code] = {}


def keep(setting: str, text: str) -> str:
    """Reads the source of a function of the user's own, and keeps it; it is not run yet.

    Args:
        setting: What to call the setting in an error.
        text: `FILE.py:NAME`, the file from the working directory, or `package.module:NAME`.

    Returns:
        The name that settings store: without folders, so that it is true on any machine, and with
        the SHA-256 of the source, such as `net.py:build@sha256:` and 64 hexadecimal digits.

    Raises:
        SettingsError: If there is no such file or module, or it cannot be read.
    """
    if not text.isprintable():
        raise SettingsError(f"{setting} must be text that can be printed: got {text!r}; rename it.")
    place, _, function = text.rpartition(":")
    if not function.isidentifier() or not place:
        raise SettingsError(f"{setting} must be such as net.py:build or net:build: got {text!r}.")
    is_file = place.endswith(".py") or os.sep in place
    path, package = (os.path.expanduser(place), "") if is_file else _found(setting, place)
    try:
        if not os.path.isfile(path):  # opening a pipe would wait for ever
            raise FileNotFoundError(0, "there is no such file")
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        where = os.path.abspath(path)
        raise SettingsError(f"{setting} {text}: {where}: {error.strerror}.") from error
    name = f"{os.path.basename(path) if is_file else place}:{function}"
    name = f"{name}@sha256:{hashlib.sha256(source).hexdigest()}"
    _KEPT[name] = Code(text, os.path.abspath(path), package, source, function)
    return name


def kept(name: str) -> Code | None:
    """What a name stands for.

    Args:
        name: From `keep`, perhaps in another program.

    Returns:
        The code; None where this program was not told to use it.
    """
    return _KEPT.get(name)


def is_own(name: str) -> bool:
    """Whether a member is built by code of the user's own, and not by the package.

    Args:
        name: A setting of a family.
    """
    return ":" in name


def is_stored(name: str) -> bool:
    """Whether a name is one that `keep` returns.

    Args:
        name: A setting of a family.
    """
    return _STORED.fullmatch(name) is not None


def shown(name: str) -> str:
    """The name of a member as tables and messages have it: without the SHA-256.

    Args:
        name: A setting of a family.
    """
    return name.partition("@sha256:")[0]


def _found(setting: str, module: str) -> tuple[str, str]:
    """The source file of a module, which is not imported, and its package, which is."""
    import importlib.util

    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:  # whatever a package raises while it is imported
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError(f"{setting} {module}: cannot be imported: {reason}") from error
    if spec is None:
        raise SettingsError(
            f"{setting}: there is no module {module}: install it, or add its folder to PYTHONPATH,"
            " or give FILE.py:NAME."
        )
    if not spec.origin or not spec.origin.endswith(".py"):
        raise SettingsError(f"{setting} {module}: it has no source file: give FILE.py:NAME.")
    return spec.origin, spec.parent or ""
