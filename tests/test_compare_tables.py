"""The comparison of tables passes those that are equal, and names the row that is not."""

import subprocess
import sys

import compare_tables
import pytest
from mnist_like import rows

from ratedistortion.table import parquet


@pytest.fixture
def run(tmp_path):
    """Writes a table of two runs and one that diverged; of its second row, some values changed."""

    def write(name, **values):
        found = rows((0.1, 1.0, 4.0), seeds=1, diverged={(4.0, 0)})
        found[1] |= values
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(parquet.write(found, {}))
        return str(path)

    return write


def test_equal_tables_pass(run, capsys):
    assert compare_tables.main(run("a"), run("b"), run("c")) is None
    lines = capsys.readouterr().out.splitlines()
    zeros = ": rate 0, distortion 0, mutual_information 0, marginal_kl 0"
    assert [line.endswith(f"a.parquet, in units of what is allowed{zeros}") for line in lines] == [
        True,
        True,
    ]


@pytest.mark.parametrize("column", compare_tables.QUANTITIES)
def test_one_number_that_is_beyond_fails_and_is_named(run, column, capsys):
    row = rows((1.0,), seeds=1)[0]
    value, allowed = row[column], 1e-2 * row[f"{column}_se"] + 1e-5 * row[column]
    assert compare_tables.main(run("a"), run("b", **{column: value + 0.9 * allowed})) is None
    assert f"{column} 0.9" in capsys.readouterr().out
    for far in (value + 1.1 * allowed, value - 1.0, None):
        wrong = compare_tables.main(run("a"), run("b"), run("c", **{column: far}))
        assert wrong is not None and "\n" not in wrong and "c.parquet and " in wrong
        assert (
            f"row 1 (dataset binarized_mnist, split test, beta 1.0, seed 0): {column} is" in wrong
        )


@pytest.mark.parametrize("change", [{"seed": 1}, {"beta": 2.0}, {"split": "train"}])
def test_other_rows_fail(run, change):
    assert "the rows differ in " in str(compare_tables.main(run("a"), run("b", **change)))


def test_it_is_a_program_that_exits_1(run):
    program = [sys.executable, compare_tables.__file__, run("a"), run("b", rate=1.0)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "beta 1.0" in done.stderr
