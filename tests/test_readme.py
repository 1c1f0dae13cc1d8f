"""The README shows the commands' real help and the table's real columns.

Run as a program this file writes them into the README.
"""

import re
from pathlib import Path

from click.testing import CliRunner

from ratedistortion.cli import plot, sweep
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.table import described

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"<!-- (help|table): ([\w-]+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def shown(kind: str, name: str) -> str:
    if kind == "table":
        lines = [f"| `{n}` | {unit} | {text} |\n" for n, unit, text in described()]
        return "| column | unit | meaning |\n|---|---|---|\n" + "".join(lines)
    command = {"rd-sweep": sweep.main, "rd-plot": plot.main}[name]
    result = CliRunner().invoke(command, ["--help"], prog_name=name, terminal_width=88)
    return f"```\n{result.output}```\n"


def rendered(text: str) -> str:
    return BLOCK.sub(lambda m: f"<!-- {m[1]}: {m[2]} -->\n{shown(m[1], m[2])}<!-- end -->\n", text)


def test_help_and_columns_are_the_real_ones() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == 3
    assert text == rendered(text), "run `.venv/bin/python tests/test_readme.py`"


def test_the_files_that_the_readme_shows_exist() -> None:
    text = README.read_text(encoding="utf-8")
    paths = re.findall(r'src="([^"]+)"', text) + re.findall(r"`(examples/[^`]+)`", text)
    assert len(paths) >= 4
    assert [path for path in paths if not (README.parent / path).exists()] == []


def test_the_family_that_the_readme_names_is_there() -> None:
    assert "`ENCODERS`" in README.read_text(encoding="utf-8") and "mlp" in ENCODERS


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
