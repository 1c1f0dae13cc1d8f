"""What can go wrong, each with the exit code that the commands end with."""

from ratedistortion.text import printable

_MAX_LENGTH = 400  # of the text of an error, in characters


class RateDistortionError(Exception):
    """A problem that the user can mend: what was expected, what was got, what to do.

    Args:
        text: One line follows from it, of at most 400 characters.
    """

    exit_code = 1

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, _MAX_LENGTH))


class SettingsError(RateDistortionError):
    """An option or a setting has a value that cannot be used."""

    exit_code = 2


class RunDirectoryError(RateDistortionError):
    """A run directory is damaged, or belongs to another configuration."""

    exit_code = 4


class LockedError(RateDistortionError):
    """Another process holds the run directory."""

    exit_code = 5


class OutOfMemoryError(RateDistortionError):
    """Not even one run fits in memory."""

    exit_code = 6


class DatasetError(RateDistortionError):
    """A data set is unknown, unprepared, unreadable or unsuited to the likelihood."""

    exit_code = 7


class Stopped(RateDistortionError):
    """A signal ended the sweep after a checkpoint; the same command continues it."""

    exit_code = 75


class Interrupted(Stopped):
    """Ctrl-C ended the sweep after a checkpoint; the same command continues it."""

    exit_code = 130
