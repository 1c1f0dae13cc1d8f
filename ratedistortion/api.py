"""What Python programs call; the commands are thin skins over it. Heavy imports wait until then."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.figures import figure
from ratedistortion.settings import Settings, differences, from_mapping, values_sha256

if TYPE_CHECKING:
    import pandas

__all__ = ["dry_run", "figure", "read", "sweep"]


def sweep(
    settings: Settings | None,
    run_dir: str | Path,
    report: Callable[[Mapping[str, Any]], None] = lambda event: None,
    stop_signal: Callable[[], str | None] = lambda: None,
) -> "pandas.DataFrame":
    """Trains and measures one model per (beta, seed), and writes `run_dir/rd.parquet`.

    Called again with the same settings it continues where it stopped; on a finished directory
    it computes nothing, and reads the data only if their files were touched.

    Args:
        settings: What to do. The loss of every run is D + beta R. None stands for the stored
            settings of a run directory that exists, and for the defaults elsewhere.
        run_dir: Created if need be; locked for the life of the call.
        report: Told of every event, as a mapping with the key `event`.
        stop_signal: Asked between dispatches, about once a second; the name of a signal ends the
            sweep with a checkpoint.

    Returns:
        The table, one row per (beta, seed, split), in nats per image; `attrs["ratedistortion"]`
        has its metadata and `attrs["summary"]` what `rd-sweep --json` prints.

    Raises:
        RateDistortionError: One of its subclasses, by what went wrong; the text says what to do.
    """
    from ratedistortion.run_directory.directory import RunDirectory
    from ratedistortion.run_directory.reading import TABLE, read_manifest

    path = Path(run_dir)
    manifest = read_manifest(path)
    if manifest is not None and (path / TABLE).exists():
        # Needs no lock, nor to be writable: a table is written last, and once.
        from ratedistortion.sweeping.manifest import check_data
        from ratedistortion.sweeping.summary import finished

        check_data(manifest, _resolve(settings, manifest, path), report)
        return finished(path, manifest, None)
    with RunDirectory(path) as directory:
        settings = _resolve(settings, directory.read_manifest(), path)
        from ratedistortion.sweeping import sweep as sweeping

        return sweeping.sweep(settings, directory, report, stop_signal)


def read(run_dir: str | Path) -> "pandas.DataFrame":
    """The table of a finished run directory, or of an `rd.parquet`, in nats per image.

    Raises:
        RunDirectoryError: If the sweep is not finished, or the table is damaged.
        SettingsError: If there is no table of ours.
    """
    from ratedistortion.run_directory import reading
    from ratedistortion.table import parquet

    path = Path(run_dir)
    return reading.read_table(path) if path.is_dir() else parquet.read(path)


def dry_run(
    settings: Settings | None,
    run_dir: str | Path,
    report: Callable[[Mapping[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """What `sweep` would do, by name: runs, chunks, steps, memory, paths.

    Nothing is trained, timed or written; the data set is read.

    Raises:
        RateDistortionError: Whatever `sweep` would raise before it computes anything.
    """
    from ratedistortion.run_directory.directory import check_folder
    from ratedistortion.run_directory.reading import read_manifest
    from ratedistortion.sweeping.preparation import planned

    path = Path(run_dir)
    manifest = read_manifest(path)
    check_folder(path)
    return planned(_resolve(settings, manifest, path), path, manifest, report)


def _resolve(settings: Settings | None, manifest: Mapping[str, Any] | None, path: Path) -> Settings:
    """The settings asked for, once they agree with those that the directory was made with."""
    from ratedistortion.run_directory.reading import check_current

    if settings is not None:
        _check_families(settings)
    if manifest is None:
        return settings or Settings()
    file = path / "manifest.json"
    try:
        stored = from_mapping(manifest["settings"], "settings")
        _check_families(stored)
    except SettingsError as error:
        raise RunDirectoryError(f"{file}: it is damaged ({error}); restore it.") from error
    if values_sha256(manifest["settings"]) != manifest["settings_sha256"]:
        raise RunDirectoryError(
            f"{file}: it is damaged (the settings' SHA-256 differs); restore it."
        )
    check_current(path, manifest)
    if settings is None:
        return stored
    if changed := differences(stored, settings):
        raise RunDirectoryError(
            f"{path} belongs to another configuration: "
            + "; ".join(changed)
            + ". Use another directory, or the stored values."
        )
    return settings


def _check_families(settings: Settings) -> None:
    """Refuses a name that no family has, before anything is made."""
    from ratedistortion.models import decoders, encoders, likelihoods, priors

    for name, family in (
        ("encoder", encoders.ENCODERS),
        ("decoder", decoders.DECODERS),
        ("prior", priors.PRIORS),
        ("likelihood", likelihoods.LIKELIHOODS),
    ):
        if (value := getattr(settings, name)) not in family:
            raise SettingsError(f"{name} must be one of {', '.join(family)}: got {value!r}.")
