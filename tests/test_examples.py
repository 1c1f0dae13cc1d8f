"""Examples that are small enough to run here print what they say at their top."""

import runpy
from pathlib import Path

import pytest
from commands import rd_measure

EXAMPLES = Path(__file__).parents[1] / "examples"


def promised(name: str, first: str) -> list[str]:
    """The words of the indented lines from one that begins so on, at the top of an example."""
    lines = (EXAMPLES / name).read_text().split('"""')[1].splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().startswith(first))
    block = []
    for line in lines[start:]:
        if not line.startswith("    "):
            break
        block.append(line[4:])
    return " ".join(block).split()


def test_what_pytorch_exported_is_measured_as_promised():
    result = rd_measure(EXAMPLES / "torch_vae.npz", "--prior", "standard")
    assert (result.stdout.split(), result.exit_code) == (promised("torch_vae.py", "test split"), 0)


def test_minibatch_estimates_are_as_far_off_as_promised(capsys):
    runpy.run_path(str(EXAMPLES / "minibatch_estimators.py"), run_name="__main__")
    assert capsys.readouterr().out.split() == promised("minibatch_estimators.py", "trained")


@pytest.mark.usefixtures("compiled_quickly")
def test_the_digit_is_read_off_the_codes(tmp_path, capsys):
    example = runpy.run_path(str(EXAMPLES / "linear_probe.py"))
    example["main"](tmp_path / "run", epochs=20, hidden=(16,))
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.split() == ["beta", "R", "accuracy"] and len(rows) == 5
    accuracies = [float(row.split()[2].rstrip("%")) for row in rows]
    assert accuracies[0] > 50 and accuracies[0] > accuracies[-1]
