"""The four families by name, from which a model is put together; reading it loads no JAX."""

import shlex
from collections.abc import Callable
from typing import Any

from ratedistortion.errors import SettingsError
from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import Settings, code

# Each family: the name of a member -> the function that builds it.
FAMILIES: dict[str, dict[str, Callable[..., Any]]] = {
    "encoder": ENCODERS,
    "decoder": DECODERS,
    "prior": PRIORS,
    "likelihood": LIKELIHOODS,
}


def check_names(settings: Settings) -> None:
    """Refuses names that no member has; imports nothing.

    Args:
        settings: Of a sweep.

    Raises:
        SettingsError: If a member is neither one of ours nor code of the user's own.
    """
    for family, ours in FAMILIES.items():
        name = getattr(settings, family)
        if name not in ours and not code.is_own(name):
            choices = ", ".join(ours)
            raise SettingsError(
                f"{family} must be one of {choices}, or FILE.py:NAME: got {name!r}."
            )


def members(settings: Settings) -> dict[str, Callable[..., Any]]:
    """The functions that build the members which the settings name.

    Code of the user's own is imported, if this program was told to use it.

    Args:
        settings: Of a sweep.

    Returns:
        Family -> function.

    Raises:
        SettingsError: If there is no such member, if stored settings name code that this program
            was not told to use, or if the code cannot be imported.
    """
    check_names(settings)
    own = _own(settings)
    missing = [f"{name} {code.shown(own[name])}" for name in own if not code.kept(own[name])]
    if missing:
        raise SettingsError(
            f"this sweep has its own {' and '.join(missing)}: name it again with"
            f"{own_options(settings)}."
        )
    built = {
        family: ours[getattr(settings, family)]
        for family, ours in FAMILIES.items()
        if family not in own
    }
    if own:
        from ratedistortion.models.own import imported

        built |= {family: imported(family, name) for family, name in own.items()}
    return built


def own_options(settings: Settings) -> str:
    """What has to be typed again where a sweep goes on: the code of the user's own.

    Args:
        settings: Of the sweep.

    Returns:
        Options with a space before each; empty where all members are ours.
    """
    found = {family: (name, code.kept(name)) for family, name in _own(settings).items()}
    typed = {
        family: kept.typed if kept else code.shown(name) for family, (name, kept) in found.items()
    }
    return "".join(f" --{family} {shlex.quote(text)}" for family, text in typed.items())


def _own(settings: Settings) -> dict[str, str]:
    names = {family: getattr(settings, family) for family in FAMILIES}
    return {family: name for family, name in names.items() if code.is_own(name)}
