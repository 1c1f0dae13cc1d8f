"""What Python programs call; the commands are thin skins over it. Heavy imports wait until then."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

from ratedistortion.errors import SettingsError
from ratedistortion.events import Report, ignore
from ratedistortion.figures import figure
from ratedistortion.progress import Progress
from ratedistortion.settings import Settings, differences, extended

if TYPE_CHECKING:
    import pandas

    from ratedistortion.sweeping.manifest import Manifest

__all__ = ["dry_run", "figure", "load", "measure", "read", "sweep"]


def sweep(
    settings: Settings | None,
    run_dir: str | Path,
    on_event: Report = ignore,
    stop_signal: Callable[[], str | None] = lambda: None,
    progress: bool = True,
    extend: bool = False,
    remeasure: bool = False,
) -> "pandas.DataFrame":
    """Trains and measures one model per (beta, seed), and writes `run_dir/rd.parquet`.

    Called again with the same settings it continues where it stopped; on a finished directory
    it computes nothing, and reads the data only if their files were touched.

    Args:
        settings: What to do. The loss of every run is D + beta R. None stands for the stored
            settings of a run directory that exists, and for the defaults elsewhere.
        run_dir: Created if need be; locked for the life of the call.
        on_event: Called with every event, a value of one of the types of `ratedistortion.events`.
            An event of work comes before that work is stored, so that `kill -9` loses none; only
            `ChunkDone` and `Finished` come after, and are lost if the process is killed in
            between. A sweep that goes on tells of nothing that is stored; what came after the last
            checkpoint is done, and told, again. `DataRead`, `Compiling`, `Planned` and `Warned`
            are of each call.
        stop_signal: Asked between dispatches, about once a second; the name of a signal ends the
            sweep with a checkpoint.
        progress: Whether progress is shown on standard error; warnings always are.
        extend: Whether betas, target rates and seeds that the run directory lacks are added to it.
            Runs that it has are not computed again.
        remeasure: Whether the models that a run directory kept are measured again, where `codes`,
            `iwae` or `save_posteriors` are others than the stored ones. Nothing is trained.

    Returns:
        The table, one row per (beta, seed, split), in nats per image; `attrs["ratedistortion"]`
        has its metadata and `attrs["summary"]` what `rd-sweep --json` prints.

    Raises:
        RateDistortionError: One of its subclasses, by what went wrong; the text says what to do.

    Example:
        >>> import ratedistortion as rd
        >>> small = {"max_examples": 200, "hidden": (8,), "latents": 2, "steps": 20}
        >>> settings = rd.Settings(betas=(0.5, 2.0), **small)
        >>> table = rd.sweep(settings, "run", progress=False)
        >>> table[["beta", "seed", "split", "status"]].values.tolist()[:2]
        [[0.5, 0, 'train', 'ok'], [0.5, 0, 'test', 'ok']]
        >>> rd.read("run").equals(table)
        True
        >>> rd.figure(table, units="bits").savefig("curve.png")

    Live results in Weights & Biases; `SummaryWriter.add_scalars` of TensorBoard takes the same
    numbers:

        import wandb
        from ratedistortion.events import Measured, Trained

        def log(event):
            if isinstance(event, Trained):
                wandb.log({f"steps of chunk {event.chunk}": event.steps})
            elif isinstance(event, Measured) and event.row["split"] == "test":
                wandb.log({name: event.row.get(name) for name in ("beta", "rate", "distortion")})

        rd.sweep(settings, "run", on_event=log)
    """
    from ratedistortion.models.families import members
    from ratedistortion.run_directory.directory import RunDirectory
    from ratedistortion.run_directory.reading import TABLE
    from ratedistortion.sweeping.manifest import Manifest

    path = Path(run_dir)
    with Progress(quiet=not progress) as shown:

        def tell(event: Any) -> None:
            shown.report(event)
            on_event(event)

        manifest = Manifest.read(path)
        if manifest is not None and (path / TABLE).exists():
            agreed = _agreed(settings, manifest, extend, remeasure)
            if not differences(manifest.settings, agreed):
                # Needs no lock, nor to be writable: a table is written last.
                from ratedistortion.sweeping.summary import finished

                manifest.check_data(agreed, tell)
                return finished(manifest, None)
        with RunDirectory(path) as directory:
            settings = _agreed(settings, Manifest.read(path), extend, remeasure)
            members(settings)  # imports code of the user's own before the data are read
            from ratedistortion.sweeping import sweep as sweeping

            return sweeping.sweep(settings, directory, tell, stop_signal, remeasure)


def read(
    run_dir: str | Path,
    *,
    input_units: str | None = None,
    reduction: str | None = None,
    convention: str | None = None,
    dimensions: int | None = None,
) -> "pandas.DataFrame":
    """The table of a run directory, of an `rd.parquet` or of a CSV file, in nats per image.

    Args:
        run_dir: The directory, or the file. The sweep need not be finished: the table then has the
            runs of the chunks that are done. A CSV file, whose name ends in .csv, has points of
            other people; the other arguments are for it alone, where it does not say them itself.
        input_units: nats, bits or bits-per-dim: of R and D in the file.
        reduction: sum or mean: what R and D are over the dimensions of an image.
        convention: beta, where the weight is on the rate, loss D + beta R; lambda, where it is on
            the distortion, loss R + lambda D.
        dimensions: Dimensions of one image; needed for means over them.

    Returns:
        One row per (beta, seed, split); `attrs["ratedistortion"]` has the metadata, with
        `unfinished`, such as "3 of 6 chunks", where more is to come. Of a CSV file, one row a
        point, with fewer columns, `label`, and in the metadata `unused`, the columns that have no
        meaning here.

    Raises:
        RunDirectoryError: If no chunk is done yet, or the table is damaged.
        SettingsError: If there is no table of ours, or something must be said of a CSV file.
    """
    from ratedistortion.run_directory import reading
    from ratedistortion.sweeping.manifest import Manifest
    from ratedistortion.sweeping.summary import so_far
    from ratedistortion.table import csv_points, parquet

    path = Path(run_dir)
    if is_csv(path):
        return csv_points.read(path, input_units, reduction, convention, dimensions)
    if any(said is not None for said in (input_units, reduction, convention, dimensions)):
        raise SettingsError(
            f"{path}: it is no CSV file, which alone has input_units, reduction, convention and"
            " dimensions."
        )
    if not path.is_dir():
        return parquet.read(path)
    if not (path / reading.TABLE).exists() and (manifest := Manifest.read(path)):
        return so_far(manifest)
    return reading.read_table(path)


def measure(
    *exported: Mapping[str, Any] | str | Path,
    output: str | Path | None = None,
    codes: SupportsIndex = 10_000,
    draw_seed: SupportsIndex = 0,
    **given: Any,
) -> "pandas.DataFrame":
    """Measures posteriors that any program exported: R, D, I(n;z), marginal KL and their bounds.

    Nothing is trained, and no network is needed. Arrays of NumPy, JAX, torch (on the CPU, detached)
    and all else that NumPy takes are welcome. Every array is known by its name: `mean` and `scale`
    of N posteriors (or `log_scale`, `var`, `log_var`, `cholesky`), `code` or `noise` of every
    image, `distortion`, a prior, and so on; the guide of the commands lists them. Posteriors of
    another family are measured by `log_q`, the log density of every code under every posterior,
    with `own`, the image of each code, and `log_prior`.

    Args:
        exported: Mappings of arrays by name, `.npz` files, or folders with one `.npy` for each
            array; each becomes a row.
        output: Where the table is written too: a `.parquet` file, or a folder for `rd.parquet`.
        codes: How many codes I(n;z) and the marginal KL are averaged over; each is compared with
            all N posteriors.
        draw_seed: Of the noise, where none was exported, and of the choice of codes.
        given: Arrays, numbers or texts that hold for all, by the same names, such as
            `prior="standard"`; with no `exported` they are all there is.

    Returns:
        The table, one row for each of `exported`, in nats per image. A row whose numbers
        contradict each other is `suspect`, and `failed_checks` says why: codes that are no draws
        of their posteriors, variances that were given as standard deviations, and so on.

    Raises:
        SettingsError: If something is missing, has another shape than it should have, is not
            finite, or is said in two ways.
        RunDirectoryError: If a file of `--save-posteriors` is not as the sweep wrote it.

    Two posteriors whose means are 2 scales apart; by quadrature I(n;z) is 0.3368 and R is 0.5:

        >>> import numpy as np
        >>> import ratedistortion as rd
        >>> mean = np.tile([[-1.0], [1.0]], (4000, 1))
        >>> table = rd.measure(mean=mean, scale=np.ones_like(mean), prior="standard")
        >>> table[["rate", "mutual_information", "marginal_kl"]].round(1).values.tolist()
        [[0.5, 0.3, 0.2]]
    """
    from ratedistortion.exported.table import measured_table, write
    from ratedistortion.table import parquet

    data = measured_table(exported or ({},), given, codes, draw_seed)
    path = write(Path(output), data) if output is not None else Path("the table")
    frame = parquet.parse(path, data)
    frame.attrs["path"] = str(path)
    return frame


def is_csv(path: Path) -> bool:
    """Whether `read` takes a path for a CSV file: by its name, if it is no folder.

    Args:
        path: Any path.
    """
    return path.suffix.lower() == ".csv" and not path.is_dir()


def load(
    run_dir: str | Path,
    beta: SupportsFloat | str | None = None,
    seed: SupportsIndex | None = None,
    target_rate: SupportsFloat | None = None,
) -> Any:
    """A model that a sweep has kept, or the list of them; the data set is not needed.

    Args:
        run_dir: The run directory; the sweep need not be finished. Or one file of its `models`,
            which is then all that is read.
        beta: The model of the nearest beta, on a logarithmic scale; `knee` stands for the beta of
            the knee, `best-elbo` for that of the smallest R + D on the test split, each among the
            runs whose status is ok.
        seed: Of the run. Without it `best-elbo` takes the best seed, and a number the first.
        target_rate: The model of the nearest target rate, in nats, instead of a beta.

    Returns:
        With a beta or target rate, a `trained.model.TrainedModel`; where it is not exactly what
        was asked for, a line on standard error says which it is, and so do its attributes `beta`
        and `seed`. Otherwise a DataFrame with one row for each run: `beta`, `target_rate`, `seed`;
        `rate`, `distortion` and `negative_elbo` of the test split, in nats per image; `status`;
        and `file`, None where no model was kept.

    Raises:
        RunDirectoryError: If a file is missing or damaged, or no model was kept.
        SettingsError: If there is no such model.

    Example:
        >>> import ratedistortion as rd
        >>> small = {"max_examples": 200, "hidden": (8,), "latents": 2, "steps": 20}
        >>> table = rd.sweep(rd.Settings(betas=(0.5, 2.0), **small), "run", progress=False)
        >>> rd.load("run")[["beta", "seed", "status"]].values.tolist()
        [[0.5, 0, 'ok'], [2.0, 0, 'ok']]
        >>> model = rd.load("run", beta=0.5)
        >>> model.sample(3, key=0).shape
        (3, 8, 8, 1)
    """
    from ratedistortion.trained import choice

    path, asked = Path(run_dir), (beta, seed, target_rate)
    anything = any(value is not None for value in asked)
    if path.is_file():
        if anything:
            raise SettingsError(f"{path} is one model: give its run directory to choose.")
        from ratedistortion.trained import model

        return model.load(path, None)
    if not anything:
        return choice.kept(path).runs
    chosen = choice.choose(path, *asked)
    from ratedistortion.trained import model

    return model.load(*chosen)


def dry_run(
    settings: Settings | None,
    run_dir: str | Path,
    on_event: Report = ignore,
    extend: bool = False,
    remeasure: bool = False,
) -> dict[str, Any]:
    """What `sweep` would do, by name: runs, chunks, steps, memory, paths.

    Nothing is trained, timed or written; the data set is read, and training is compiled to know
    its memory.

    Args:
        settings: As for `sweep`.
        run_dir: As for `sweep`; it need not exist.
        on_event: Called with warnings.
        extend: As for `sweep`.
        remeasure: As for `sweep`.

    Returns:
        Name -> value, in the order in which `rd-sweep --dry-run` prints them.

    Raises:
        RateDistortionError: Whatever `sweep` would raise before it computes anything.
    """
    from ratedistortion.models.families import members
    from ratedistortion.run_directory.directory import check_folder
    from ratedistortion.sweeping.manifest import Manifest
    from ratedistortion.sweeping.preparation import planned

    path = Path(run_dir)
    manifest = Manifest.read(path)
    check_folder(path)
    settings = _agreed(settings, manifest, extend, remeasure)
    members(settings)
    return planned(settings, path, manifest, on_event)


def _agreed(
    settings: Settings | None, manifest: "Manifest | None", extend: bool, remeasure: bool
) -> Settings:
    """The settings to use, once their families exist and they agree with those of the directory."""
    from ratedistortion.models.families import check_names

    if settings is None:
        settings = manifest.settings if manifest else Settings()
    check_names(settings)
    if extend and remeasure:
        raise SettingsError("extend and remeasure exclude each other: extend first.")
    if manifest is None:
        if remeasure:
            raise SettingsError("remeasure: there is no sweep yet: leave it out to begin one.")
        return settings
    if extend:
        whole = extended(manifest.settings, settings)
        grid = {name: getattr(whole, name) for name in ("betas", "target_rates", "seeds")}
        manifest.with_grid(whole).check_settings(dataclasses.replace(settings, **grid))
        if manifest.is_older and whole != manifest.settings:
            raise manifest.older()
        return whole
    if remeasure:
        after = manifest.with_measuring(settings)
        if manifest.is_older and after != manifest:
            raise manifest.older()
        manifest = after
    manifest.check_settings(settings)
    return settings
