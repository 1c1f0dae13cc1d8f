"""The kinds of settings: which values each accepts, and what a refusal says."""

import abc
import dataclasses
import os
import unicodedata
from typing import Any, ClassVar, NamedTuple

from ratedistortion.errors import SettingsError
from ratedistortion.settings import code
from ratedistortion.settings.grid import MAX_FLOAT, check_grid, parse_grid
from ratedistortion.settings.memory import keep

# The least number above 0 of any setting: below it, float32 loses digits, and ends at 0.
MIN_FLOAT = 1.2e-38
_UNFIT = ("Cc", "Cs")  # categories of control characters, and of bytes that are not UTF-8
# The largest count of anything, such as steps: 200 times as many still fit in 32 bits.
MAX_COUNT = 10_000_000


class Kind(abc.ABC):
    """What the values of a setting have in common; each kind overrides `check`.

    Attributes:
        shell_type: The type that a command turns the text of an option into.
    """

    shell_type: ClassVar[type] = str

    @abc.abstractmethod
    def check(self, name: str, value: Any) -> Any:
        """The value in the one form that the settings keep.

        Args:
            name: What to call the setting in an error.
            value: Anything that a caller may pass; the text of an option or of TOML too, where
                `shell_type` is text.

        Returns:
            The value: a number for a setting of numbers, a tuple for a list.

        Raises:
            SettingsError: If the value is not of this kind, or outside its limits.
        """


class Text(Kind):
    """Any text."""

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            raise SettingsError(f"{name} must be text: got {value!r}.")
        return value


class Source(Text):
    """The name or the path of a data set, or its arrays."""

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, str | os.PathLike):
            text = os.fspath(value)
            if not isinstance(text, str) or any(unicodedata.category(c) in _UNFIT for c in text):
                raise SettingsError(
                    f"{name} must be text in UTF-8 without control characters: got {value!r};"
                    " rename it."
                )
            # A bare word is never a path, but an object of a path is one.
            return text if isinstance(value, str) or os.sep in text else os.path.join(".", text)
        try:
            return keep(value)
        except Exception as error:  # what other libraries raise of their own arrays
            raise SettingsError(
                f"{name} must be a name, a path, an array of numbers, a DataFrame, (train, test) or"
                f" a mapping of splits to these: got {type(value).__name__} ({error})."
            ) from error


class Member(Text):
    """The name of a member of a family, or code of the user's own that builds one."""

    def check(self, name: str, value: Any) -> Any:
        text = super().check(name, value)
        if text.endswith(".py"):
            raise SettingsError(f"{name} {text}: say which function builds it: {text}:NAME.")
        return code.keep(name, text) if code.is_own(text) and not code.is_stored(text) else text


class Flag(Kind):
    """True or false."""

    shell_type = bool

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, bool):
            raise SettingsError(f"{name} must be true or false: got {value!r}.")
        return value


@dataclasses.dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    choices: tuple[str, ...]

    def check(self, name: str, value: Any) -> Any:
        if value not in self.choices:
            raise SettingsError(f"{name} must be one of {', '.join(self.choices)}: got {value!r}.")
        return value


@dataclasses.dataclass(frozen=True)
class Whole(Kind):
    """A whole number from `at_least` to `MAX_COUNT`."""

    shell_type = int
    at_least: int = 1

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or value < self.at_least:
            raise SettingsError(
                f"{name} must be a whole number of at least {self.at_least}: got {value!r}."
            )
        if value > MAX_COUNT:
            raise SettingsError(f"{name} must be at most {MAX_COUNT:,}: got {value:,}.")
        return value


class WholeOrAuto(Whole):
    """A whole number, or the text `auto`, which is stored as None."""

    shell_type = str

    def check(self, name: str, value: Any) -> Any:
        if value == "auto":
            return None
        try:
            return super().check(name, int(value) if isinstance(value, str) else value)
        except ValueError:
            raise SettingsError(f"{name} must be auto or a whole number: got {value!r}.") from None


@dataclasses.dataclass(frozen=True)
class Number(Kind):
    """A finite number above 0, or at least 0, that float32 can hold."""

    shell_type = float
    or_zero: bool = False

    def check(self, name: str, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (MIN_FLOAT < value < MAX_FLOAT or self.or_zero and value == 0):
            least = "at least" if self.or_zero else "above"
            tiny = ", which is 0 in float32" if number and 0 < value < 1 else ""
            raise SettingsError(f"{name} must be finite and {least} 0: got {value!r}{tiny}.")
        return float(value)


class Seeds(Whole):
    """How many seeds from 0 on, or the text `FIRST:END`, of seeds from FIRST to END - 1."""

    shell_type = str

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return super().check(name, value)
        try:
            first, end = map(int, value.split(":") if ":" in value else ("0", value))
        except ValueError:
            raise SettingsError(
                f"{name} must be a count or a range such as 5:10: got {value!r}."
            ) from None
        if first < 0 or end <= first:
            raise SettingsError(f"{name} must be at least 1, or rise as 5:10 does: got {value!r}.")
        super().check(name, end)
        return f"{first}:{end}" if first else end


class Wholes(Kind):
    """Whole numbers of at least 1, as text `512,512`."""

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = [int(item) for item in value.split(",")] if value.strip() else []
            except ValueError:
                raise SettingsError(
                    f"{name} must be whole numbers such as 512,512: got {value!r}."
                ) from None
        if not isinstance(value, list | tuple):
            raise SettingsError(f"{name} must be a list of whole numbers: got {value!r}.")
        return tuple(Whole().check(name, item) for item in value)


class Shape(Wholes):
    """Height, width and channels of an image, as text `28x28` or `28x28x1`."""

    def check(self, name: str, value: Any) -> Any:
        shape = super().check(name, value.replace("x", ",") if isinstance(value, str) else value)
        if len(shape) not in (2, 3):
            raise SettingsError(f"{name} must be such as 28x28 or 32x32x3: got {value!r}.")
        return shape if len(shape) == 3 else (*shape, 1)


@dataclasses.dataclass(frozen=True)
class NumberOr(Number):
    """A number above 0, or one word."""

    shell_type = str
    word: str = "none"

    def check(self, name: str, value: Any) -> Any:
        if value == self.word:
            return value
        try:
            return super().check(name, float(value) if isinstance(value, str) else value)
        except ValueError:
            raise SettingsError(f"{name} must be {self.word} or a number: got {value!r}.") from None


class Arrays(Kind):
    """Split -> name of an array, as text `train=NAME,test=NAME`."""

    def check(self, name: str, value: Any) -> Any:
        given = value
        if isinstance(value, str):
            items = [item.partition("=") for item in value.split(",")]
            given = {split: key for split, _, key in items}
        splits = ("train", "test", "validation")
        named = isinstance(given, dict) and "train" in given and given.keys() <= {*splits}
        if not named or not all(isinstance(key, str) and key for key in given.values()):
            raise SettingsError(
                f"{name} must be such as train=NAME,test=NAME or train=NAME,validation=NAME: got"
                f" {value!r}."
            )
        return {split: given[split] for split in splits if split in given}


@dataclasses.dataclass(frozen=True)
class Grid(Kind):
    """Numbers of at least 0 that differ, or text in the grammar of `parse_grid`."""

    may_be_empty: bool = False

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return parse_grid(value, name)
        return check_grid(value, name, self.may_be_empty)


class Setting(NamedTuple):
    """What the table of settings says of one field, apart from its name and type.

    Attributes:
        default: The value where none is given. None lets the setting be left out: what it then
            means is decided where it is used.
        kind: Which values it accepts.
        group: The heading over the option in the help.
        metavar: What stands for the value in the help; empty for flags and choices.
        help: What it does, for the help.
        shown: The default as the help shows it; empty where there is nothing to show.
    """

    default: Any
    kind: Kind
    group: str
    metavar: str
    help: str
    shown: str

    def check(self, name: str, value: Any) -> Any:
        """As `Kind.check`, but None passes where it is the default.

        Args:
            name: What to call the setting in an error.
            value: Anything that a caller may pass.

        Returns:
            The value in the one form that the settings keep.

        Raises:
            SettingsError: As of `Kind.check`.
        """
        if value is None and self.default is None:
            return None
        plain: Any = value
        if hasattr(plain, "tolist") and not isinstance(self.kind, Source):  # NumPy's numbers
            plain = plain.tolist()
        return self.kind.check(name, plain)


def setting(
    default: Any, kind: Kind, group: str, metavar: str, help: str, shown: str | None = None
) -> Any:
    """A field of the dataclass `Settings`.

    Args:
        default: The value where none is given.
        kind: Which values it accepts.
        group: The heading over the option in the help.
        metavar: What stands for the value in the help.
        help: What it does, for the help.
        shown: The default as the help shows it; None shows `default` itself.

    Returns:
        A dataclass field with its `Setting` as `metadata["setting"]`.
    """
    if shown is None and (default is None or isinstance(default, bool)):
        shown = ""
    elif shown is None:
        items = default if isinstance(default, tuple) else (default,)
        shown = ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in items)
    details = Setting(default, kind, group, metavar, help, shown)
    return dataclasses.field(default=default, metadata={"setting": details})
