"""What can go wrong, each with the exit code that the commands end with."""


class RateDistortionError(Exception):
    """A problem that the user can mend: what was expected, what was got, what to do."""

    exit_code = 1


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
