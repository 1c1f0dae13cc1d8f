"""What is said of a finished sweep; it needs no JAX."""

from collections import Counter
from collections.abc import Mapping

import pandas

from ratedistortion.engine.plan import all_runs
from ratedistortion.errors import RunDirectoryError
from ratedistortion.run_directory import reading
from ratedistortion.sweeping.manifest import Manifest
from ratedistortion.table.identity import STATUSES, row_name, row_names, worst_status
from ratedistortion.untrusted import damaged


def so_far(manifest: Manifest) -> pandas.DataFrame:
    """The rows of the chunks that are done, of a sweep that is not finished.

    Args:
        manifest: Of its run directory.

    Returns:
        As of `ratedistortion.table.parquet.read`; `attrs["ratedistortion"]["unfinished"]` says how
        many chunks there are, such as `3 of 6 chunks`.

    Raises:
        RunDirectoryError: If no chunk is done, or one is damaged.
    """
    from ratedistortion.table import parquet

    path, results = manifest.path, reading.read_results(manifest.path)
    if not results:
        raise reading.unfinished(path)
    chunks = sum(part.plan.chunks for part in manifest.parts())
    metadata = manifest.metadata() | {"unfinished": f"{len(results)} of {chunks} chunks"}
    order = {name: n for n, name in enumerate(row_names(all_runs(manifest.settings)))}
    rows = [row for result in results for row in result["rows"]]
    try:
        rows.sort(key=lambda row: order[row_name(row)])
        table = parquet.write(rows, metadata)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise damaged(path / "chunks", "its rows are none of this sweep", "restore it") from error
    return parquet.parse(path, table)


def finished(manifest: Manifest, times: Mapping[str, float] | None) -> pandas.DataFrame:
    """The table of a finished sweep, with the summary that `--json` prints in `attrs`.

    Args:
        manifest: Of its run directory.
        times: What was timed, None if nothing had to be computed.

    Raises:
        RunDirectoryError: If the table is damaged, or is not that of this run directory.
    """
    path = manifest.path
    frame = reading.read_table(path)
    if frame.attrs["ratedistortion"].get("settings") != manifest.values["settings"]:
        raise RunDirectoryError(
            f"{path / reading.TABLE}: it is not the table of this run directory; restore it, or"
            " delete it to have it made again."
        )
    worst = worst_status(frame.to_dict("records"))
    counts = Counter(worst.values())
    names = ("seconds", "compile_seconds", "train_seconds", "measure_seconds")
    frame.attrs["summary"] = {
        "run_dir": str(path),
        "runs": len(worst),
        **{status: counts[status] for status in STATUSES},
        **(times or {**dict.fromkeys(names, 0.0), "model_steps_per_second": 0.0}),
        "data": manifest.values.get("data"),
        "device": manifest.values["device"],
        "batching": manifest.values["parts"][0]["plan"].get("batching"),
        "table": str(path / reading.TABLE),
    }
    return frame
