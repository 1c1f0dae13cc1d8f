import sys

import mnist_like
import pytest
from commands import check_message, rd_plot, run

import ratedistortion
from ratedistortion.cli import plot
from ratedistortion.cli.plot import main
from ratedistortion.figures import FIGURES


@pytest.fixture
def run_dir(tmp_path):
    return mnist_like.run_directory(tmp_path / "runs" / "mnist")


@pytest.mark.parametrize("kind", FIGURES)
def test_the_figure_of_one_run_directory_is_written_into_it(run_dir, kind):
    output = run_dir / f"{kind}.png"
    result = rd_plot(run_dir, "--kind", kind, "--units", "bits")
    assert (result.stdout, result.stderr, result.exit_code) == (f"{output}\n", "", 0)
    assert output.read_bytes().startswith(b"\x89PNG")


def test_several_runs_or_a_table_need_a_name_for_their_figure(run_dir, tmp_path):
    other = mnist_like.run_directory(tmp_path / "other")
    text = (
        "several RUNs, or a table, need -o FILE: only one run directory has a place for its figure."
    )
    for runs in ([run_dir, other], [run_dir / "rd.parquet"]):
        check_message(rd_plot(*runs), 2, text)
    missing = tmp_path / "missing"
    check_message(rd_plot(missing), 2, f"{missing}: cannot be read: No such file or directory.")


def test_a_summary_writes_no_figure_unless_asked_for(run_dir):
    before = set(run_dir.iterdir())
    assert rd_plot(run_dir, "--summary").exit_code == 0
    assert set(run_dir.iterdir()) == before


@pytest.mark.parametrize(
    "suffix, magic", [(".pdf", b"%PDF"), (".svg", b"<?xml"), (".PNG", b"\x89")]
)
def test_the_suffix_chooses_the_format(run_dir, tmp_path, suffix, magic):
    output = tmp_path / f"figure{suffix}"
    assert rd_plot(run_dir, "-o", output).exit_code == 0
    assert output.read_bytes().startswith(magic)


def test_a_table_and_its_run_directory_give_the_same_bytes(run_dir, tmp_path):
    rd_plot(run_dir, "-o", tmp_path / "a.svg")
    rd_plot(run_dir / "rd.parquet", "-o", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_runs_of_one_name_get_labels_that_differ(tmp_path, monkeypatch):
    runs = [mnist_like.run_directory(tmp_path / name / "mnist") for name in ("small", "large")]
    (tmp_path / "mnist.parquet").write_bytes((runs[0] / "rd.parquet").read_bytes())
    given = {}
    monkeypatch.setattr(plot, "figure", lambda tables, *_: given.update(tables))
    monkeypatch.setattr(plot, "save", lambda *_: None)
    rd_plot(runs[0], runs[1] / "rd.parquet", "-o", "a.png")
    assert list(given) == ["small/mnist", "large/mnist"]
    given.clear()
    rd_plot(runs[0], tmp_path / "mnist.parquet", "-o", "a.png")
    assert list(given) == ["mnist", "mnist.parquet"]
    given.clear()
    monkeypatch.chdir(runs[0])
    rd_plot(".", "-o", "a.png")
    assert list(given) == ["mnist"]


def test_one_run_given_twice_is_an_error(run_dir):
    result = rd_plot(run_dir, run_dir / "rd.parquet", "-o", "a.png")
    check_message(result, 2, "each RUN must differ from the others: one was given twice.")


@pytest.mark.parametrize("kind", ["gallery", "training"])
def test_kinds_that_need_a_run_directory_say_so(run_dir, tmp_path, kind):
    text = f"--kind {kind} needs one run directory: not a table, not several."
    other = mnist_like.run_directory(tmp_path / "other")
    for runs in ([run_dir / "rd.parquet"], [run_dir, other]):
        check_message(rd_plot(*runs, "-o", tmp_path / "a.png", "--kind", kind), 2, text)


def test_wrong_usage_is_one_line(run_dir, tmp_path):
    check_message(rd_plot("-o", "a.png"), 2, "Missing argument 'RUN...'.")
    check_message(
        rd_plot(run_dir, "-o", "a.jpg"),
        2,
        "a.jpg: the suffix must be one of .png, .pdf, .svg, .csv.",
    )
    check_message(
        rd_plot(run_dir, "-o", "a.png", "--units", "bytes"),
        2,
        "Invalid value for '--units': 'bytes' is not one of 'nats', 'bits', 'bits-per-dim'.",
    )
    check_message(
        rd_plot(run_dir, "-o", "a.png", "--split", "train"),
        2,
        "the table has no rows of the split train: it has test.",
    )
    output = tmp_path / "none" / "a.png"
    check_message(
        rd_plot(run_dir, "-o", output),
        2,
        f"{output}: cannot be written: No such file or directory.",
    )


def test_what_is_not_a_table_is_one_line(run_dir, tmp_path):
    missing = tmp_path / "missing"
    check_message(
        rd_plot(missing, "-o", "a.png"), 2, f"{missing}: cannot be read: No such file or directory."
    )
    text = tmp_path / "notes.txt"
    text.write_text("no table")
    check_message(
        rd_plot(text, "-o", "a.png"),
        2,
        f"{text}: not a Parquet file; expected the rd.parquet of a sweep.",
    )
    damaged = run_dir / "rd.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    result = rd_plot(run_dir, "-o", "a.png")
    assert result.exit_code == 4 and result.stderr.count("\n") == 1
    assert "damaged or cut short" in result.stderr
    damaged.unlink()
    result = rd_plot(run_dir, "-o", "a.png")
    assert result.exit_code == 4 and "manifest.json: it is damaged" in result.stderr


@pytest.mark.parametrize(
    "raised, code, text",
    [
        (RuntimeError("first line\n  second"), 1, "RuntimeError: first line second"),
        (KeyboardInterrupt(), 130, "interrupted."),
    ],
)
def test_other_failures_are_one_line(run_dir, monkeypatch, raised, code, text):
    def fail(*_):
        raise raised

    monkeypatch.setattr(plot, "figure", fail)
    result = rd_plot(run_dir, "-o", "a.png")
    assert result.exit_code == code and result.stderr.strip() == f"Error: {text}"
    monkeypatch.setenv("RATEDISTORTION_DEBUG", "1")
    assert "Traceback" in rd_plot(run_dir, "-o", "a.png").stderr


def test_help_and_version():
    for option in ("-h", "--help"):
        result = rd_plot(option)
        assert result.exit_code == 0 and result.stdout.startswith("Usage: rd-plot [OPTIONS] RUN...")
    assert rd_plot("--version").stdout == f"rd-plot, version {ratedistortion.__version__}\n"


def test_every_option_has_a_help_text():
    assert all(param.help for param in main.params if param.param_type_name == "option")


LOADED = "\nimport sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"


def test_help_imports_nothing_heavy():
    command = "from ratedistortion.cli.plot import main; main(['-h'], standalone_mode=False)"
    result = run(sys.executable, "-c", command + LOADED)
    heavy = {"jax", "flax", "optax", "numpy", "pandas", "pyarrow", "matplotlib", "rich"}
    assert result.returncode == 0 and not heavy & set(result.stdout.splitlines()[-1].split())


def test_plotting_never_imports_jax(run_dir, tmp_path):
    command = (
        "import sys; from ratedistortion.cli.plot import main\n"
        "for kind in sys.argv[3:]:\n"
        "    options = ['-o', f'{sys.argv[2]}/{kind}.svg', '--kind', kind, '--summary']\n"
        "    main([sys.argv[1], *options], standalone_mode=False)\n"
    )
    result = run(sys.executable, "-c", command + LOADED, run_dir, tmp_path, *FIGURES)
    assert {path.name for path in tmp_path.glob("*.svg")} == {f"{kind}.svg" for kind in FIGURES}
    assert not {"jax", "jaxlib", "flax", "optax"} & set(result.stdout.splitlines()[-1].split())
