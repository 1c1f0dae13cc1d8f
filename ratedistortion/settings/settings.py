"""What a sweep is asked to do: frozen, validated, and the same from Python, TOML and the shell."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratedistortion.errors import SettingsError
from ratedistortion.settings.grid import MOST_RUNS, check_grid, parse_grid

BINARIZE = ("none", "threshold", "static", "dynamic")
BATCHING = ("auto", "vmap", "map")
DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("default", "high", "highest")
SELECT = ("last", "best")
LEVELLED = ("discretized-logistic", "categorical")  # likelihoods of grey levels

# How a sweep is carried out rather than what it computes: a finished or stopped run directory
# is continued whatever these say, except that a stored chunk plan wins.
ENGINE_FIELDS = ("device", "batching", "runs_at_once", "data_dir", "download")

_NUMBERS = ("likelihood_scale", "learning_rate", "free_bits")
_LISTS = ("hidden", "channels", "strides")
_LEAST, _MOST_FLOAT = 1.2e-38, 3e38  # beyond, float32 has nothing, or infinity
MOST = 10_000_000  # of anything that is counted, which keeps 200 times a step in 32 bits


@dataclasses.dataclass(frozen=True)
class Settings:
    """A sweep over beta of one latent-variable model on one data set.

    The loss of every run is D + beta R, in nats per image; `target_rates` stand in for `betas`,
    and beta is then found with R. Fields have the names of the options of `rd-sweep`, with
    underscores.

    Raises:
        SettingsError: On construction, if a value cannot be used; the text names the field, what
            was expected and what was got.
    """

    dataset: str | None = None
    data_dir: str | None = None
    download: bool = False
    binarize: str | None = None
    max_examples: int | None = None
    betas: tuple[float, ...] = parse_grid("0.01:10:log12")
    target_rates: tuple[float, ...] = ()
    seeds: int = 1
    encoder: str = "mlp"
    decoder: str = "mlp"
    prior: str = "standard"
    likelihood: str = "bernoulli"
    likelihood_scale: float = 1.0
    latents: int = 32
    hidden: tuple[int, ...] = (256, 256)
    channels: tuple[int, ...] = (32, 64)
    strides: tuple[int, ...] = (2, 2)
    components: int = 100
    levels: int = 256
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 100
    learning_rate: float = 2e-3
    warmup: int = 0
    free_bits: float = 0.0
    select: str = "last"
    codes: int = 10_000
    iwae: int = 0
    save_posteriors: bool = False
    device: str = "auto"
    batching: str = "auto"
    runs_at_once: int | None = None
    precision: str = "default"
    deterministic: bool = False

    def __post_init__(self) -> None:
        # Without a data set a first try must work: grey digits, few enough for many epochs, drawn
        # afresh at every step so that they are not learnt by heart.
        alone = self.dataset is None
        _set(self, "dataset", "digits" if alone else self.dataset)
        if self.binarize is None:
            binary = alone and self.likelihood == "bernoulli"
            _set(self, "binarize", "dynamic" if binary else "none")
        if self.epochs is not None and self.steps is not None:
            raise SettingsError("epochs and steps exclude each other: give one of them.")
        if self.epochs is None and self.steps is None:
            _set(self, "epochs", 100 if alone else 20)
        for name in ("betas", "target_rates"):
            value = getattr(self, name)
            if isinstance(value, str):
                _set(self, name, parse_grid(value, name))
            elif name == "betas" or len(value):
                _set(self, name, check_grid(value, name))
        if self.target_rates and self.free_bits:
            raise SettingsError(
                "free_bits and target_rates exclude each other: bits that the loss does not count"
                " leave it no weight that could reach a rate."
            )
        for name in _LISTS:
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise SettingsError(f"{name} must be a list of whole numbers: got {value!r}.")
            _set(self, name, tuple(value))
            for item in value:
                _whole(name, item, at_least=1)
        for name in ("dataset", "data_dir", "encoder", "decoder", "prior", "likelihood"):
            value = getattr(self, name)
            if not (isinstance(value, str) or value is None and name == "data_dir"):
                raise SettingsError(f"{name} must be text: got {value!r}.")
        for name in ("download", "save_posteriors", "deterministic"):
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(f"{name} must be true or false: got {getattr(self, name)!r}.")
        for name in ("seeds", "latents", "batch_size", "components"):
            _whole(name, getattr(self, name), at_least=1)
        for name in ("levels", "codes"):  # one code has no spread
            _whole(name, getattr(self, name), at_least=2)
        grid = "target_rates" if self.target_rates else "betas"
        points = len(getattr(self, grid))
        if points * self.seeds > MOST_RUNS:
            raise SettingsError(
                f"{grid} and seeds: a sweep has at most {MOST_RUNS:,} runs: got {points:,}"
                f" times {self.seeds:,}."
            )
        for name in ("epochs", "steps", "max_examples", "runs_at_once"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), at_least=1)
        for name in ("warmup", "iwae"):
            _whole(name, getattr(self, name), at_least=0)
        for name in _NUMBERS:
            value, zero = getattr(self, name), name == "free_bits"
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (_LEAST < value < _MOST_FLOAT or zero and value == 0):
                least = "at least" if zero else "above"
                tiny = ", which is 0 in float32" if number and 0 < value < 1 else ""
                raise SettingsError(f"{name} must be finite and {least} 0: got {value!r}{tiny}.")
            _set(self, name, float(value))
        for name, choices in (
            ("binarize", BINARIZE),
            ("batching", BATCHING),
            ("device", DEVICES),
            ("precision", PRECISIONS),
            ("select", SELECT),
        ):
            if getattr(self, name) not in choices:
                raise SettingsError(
                    f"{name} must be one of {', '.join(choices)}: got {getattr(self, name)!r}."
                )

    def sha256(self) -> str:
        """Hash of all that decides the numbers; the engine's own fields are left out."""
        return values_sha256(self.as_json())

    def loss(self) -> str:
        """What every run minimises, D and R being means over a minibatch, in nats per image."""
        formula = "D + beta*R"
        if self.target_rates:
            formula = "D subject to R = target_rate"
        elif self.free_bits:
            formula = f"D + beta*sum_i max(R_i, {self.free_bits!r}), R_i the rate of latent i"
        rising = f", beta rising linearly over {self.warmup} steps"
        return formula + rising * bool(self.warmup)

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON can hold them; `from_mapping` reads them back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def values_sha256(values: Mapping[str, Any]) -> str:
    """Hash of settings as they are stored, by the rule of `Settings.sha256`."""
    kept = {name: value for name, value in values.items() if name not in ENGINE_FIELDS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def from_mapping(values: dict[str, Any], source: str) -> Settings:
    """Settings from a mapping of field names, such as a TOML table or a manifest.

    Args:
        values: Field name -> value; `betas` may be a string in the grammar of `--betas`, a list
            such as `hidden` a string such as `512,512`, and `runs_at_once` `auto` or a number.
        source: What to call the mapping in an error.

    Returns:
        The settings, with defaults where a field is missing.

    Raises:
        SettingsError: If a name is unknown or a value cannot be used.
    """
    values = dict(values)
    known = {field.name: field for field in dataclasses.fields(Settings)}
    for name in values:
        if name not in known:
            import difflib

            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise SettingsError(f"{source}: no setting is called {name!r}{hint}")
    for name in ("betas", "target_rates"):
        if isinstance(values.get(name), str):
            values[name] = parse_grid(values[name], name)
        elif name in values:
            empty = name == "target_rates" and not values[name]
            values[name] = () if empty else check_grid(values[name], name)
    for name in _LISTS:
        if isinstance(values.get(name), str):
            values[name] = _parse_numbers(name, values[name])
        elif isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    for name in _NUMBERS:
        if type(values.get(name)) is int:
            values[name] = float(values[name])
    if isinstance(text := values.get("runs_at_once"), str):
        values["runs_at_once"] = None if text == "auto" else _parse_count("runs_at_once", text)
    try:
        return Settings(**values)
    except (TypeError, OverflowError) as error:
        raise SettingsError(
            f"{source}: a setting has a value of the wrong type: {error}."
        ) from error


def _parse_numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers, from text such as `512,512`."""
    try:
        return tuple(int(item) for item in text.split(",")) if text.strip() else ()
    except ValueError:
        raise SettingsError(
            f"{name} must be whole numbers such as 512,512: got {text!r}."
        ) from None


def _parse_count(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"{name} must be auto or a whole number: got {text!r}.") from None


def read_config(path: Path) -> dict[str, Any]:
    """The table of a TOML file of settings, with underscores for hyphens in the names.

    Raises:
        SettingsError: If the file cannot be read or is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"config: cannot read {path}: {error}.") from error
    return {name.replace("-", "_"): value for name, value in values.items()}


def differences(stored: Settings, asked: Settings) -> list[str]:
    """One line for each field that decides the numbers and differs between two settings."""
    before, after = stored.as_json(), asked.as_json()
    return [
        f"{name}: {json.dumps(before[name])} stored, {json.dumps(after[name])} asked for"
        for name in before
        if before[name] != after[name] and name not in ENGINE_FIELDS
    ]


def _whole(name: str, value: object, at_least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise SettingsError(f"{name} must be a whole number of at least {at_least}: got {value!r}.")
    if value > MOST:
        raise SettingsError(f"{name} must be at most {MOST:,}: got {value:,}.")


def _set(settings: Settings, name: str, value: object) -> None:
    object.__setattr__(settings, name, value)
