"""The guides show the real help and columns, and everything that they name exists.

Run as a program this file writes the help and the columns into the guides.
"""

import csv
import importlib
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ratedistortion
from ratedistortion import errors, table
from ratedistortion.cli import measure, plot, sweep
from ratedistortion.settings import from_mapping, read_config

ROOT = Path(__file__).parents[1]
GUIDES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted(ROOT.glob("ratedistortion/**/README.md")),
    *sorted(ROOT.glob("tests/**/README.md")),
]
COMMANDS = {"rd-sweep": sweep.main, "rd-plot": plot.main, "rd-measure": measure.main}
BLOCK = re.compile(r"<!-- (help|table): ([\w-]+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    (.+)$", re.MULTILINE)
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
# A name with one of these at its end is a file; without a folder it may lie in any.
SUFFIXES = (".py", ".md", ".toml", ".sh", ".png", ".yml", ".cff", ".txt")
FOLDERS = ("ratedistortion/", "tests/", "examples/", ".ci/", ".github/")

each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))


def shown(kind: str, name: str) -> str:
    """What stands between the comments of a block: a command's help or the columns."""
    if name == "field":
        return field_table()
    if kind == "table":
        rows = [(n, unit, text.replace("|", r"\|")) for n, unit, text in table.described()]
        lines = [f"| `{n}` | {unit} | {text} |\n" for n, unit, text in rows]
        return "| column | unit | meaning |\n|---|---|---|\n" + "".join(lines)
    result = CliRunner().invoke(COMMANDS[name], ["--help"], prog_name=name, terminal_width=88)
    return f"```\n{result.output}```\n"


def field_table() -> str:
    """The results of `examples/field`, a row for each recipe and beta."""
    with (ROOT / "examples" / "field" / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    head = (
        "| recipe | latents | beta | R | D | D + beta R | I(n;z) | core-minutes of the recipe |\n"
    )
    lines = [head, "|---" * 8 + "|\n"]
    for row in rows:
        r, d, i = (
            "bounded" if row[name] == "nan" else f"{float(row[name]):.1f} ± {float(se):.1f}"
            for name in ("rate", "distortion", "mutual_information")
            for se in [row[f"{name}_se"]]
        )
        loss = float(row["distortion"]) + float(row["beta"]) * float(row["rate"])
        link = f"[{row['recipe']}](field/{row['recipe']}.toml)"
        cells = [link, row["latents"], row["beta"], r, d, f"{loss:.1f}", i, row["core_minutes"]]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def rendered(text: str) -> str:
    return BLOCK.sub(lambda m: f"<!-- {m[1]}: {m[2]} -->\n{shown(m[1], m[2])}<!-- end -->\n", text)


def prose(guide: Path) -> str:
    """The text without its fenced blocks, which are no prose, and without generated blocks."""
    return FENCE.sub("", BLOCK.sub("", guide.read_text(encoding="utf-8")))


def in_backticks(guide: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(guide))


def files() -> Iterator[str]:
    """Paths of the repository's own files, without environments, runs and caches."""
    for folder, folders, names in os.walk(ROOT):
        hidden = tuple(".git .venv .pytest .ruff .hypothesis __pycache__ build runs".split())
        folders[:] = [f for f in folders if f == ".github" or not f.startswith(hidden)]
        for name in names:
            yield str(Path(folder, name).relative_to(ROOT))


def anchors(guide: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a guide."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", guide.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def python_name_exists(name: str) -> bool:
    """Whether `engine.plan.make_plan` is a module of the package, or something inside of one."""
    parts = name.split(".")
    for length in range(len(parts), -1, -1):
        try:
            found = importlib.import_module(".".join(["ratedistortion", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {})
            found = getattr(found, part)
        return True
    return False


def test_help_and_columns_are_the_real_ones() -> None:
    shown_blocks = []
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        shown_blocks += [name for _, name, _ in BLOCK.findall(text)]
        assert text == rendered(text), "run `.venv/bin/python tests/test_guides.py`"
    assert sorted(shown_blocks) == ["columns", "field", "rd-measure", "rd-plot", "rd-sweep"]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


def test_every_guide_is_linked_from_another() -> None:
    linked = {
        (guide.parent / link.partition("#")[0]).resolve()
        for guide in GUIDES
        for link in links(prose(guide))
        if link.partition("#")[0]
    }
    unlinked = [guide for guide in GUIDES[1:] if guide not in linked]
    assert unlinked == [], "add a link under Guides in the README"


@each_guide
def test_links_lead_somewhere(guide: Path) -> None:
    text = prose(guide)
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists() and target.is_relative_to(ROOT), f"no such file: {link}"
        assert not anchor or anchor in anchors(target), f"no such heading: {link}"


@each_guide
def test_named_files_and_folders_exist(guide: Path) -> None:
    known = list(files())
    for name in in_backticks(guide):
        name = name.split("::")[0]
        if re.search(r"[\s*<>{}…]|RUN_DIR|runs/|\.\.\.", name):
            continue
        if name.startswith(FOLDERS) and not name.endswith(SUFFIXES):
            assert (ROOT / name).exists(), f"no such folder: {name}"
        elif name.endswith(SUFFIXES) and name not in SUFFIXES:
            assert any(f"/{path}".endswith(f"/{name}") for path in known), f"no such file: {name}"


@each_guide
def test_named_python_objects_exist(guide: Path) -> None:
    rooms = {path.stem for path in (ROOT / "ratedistortion").iterdir()} - {"README"}
    code = "\n".join(text for kind, text in FENCE.findall(guide.read_text()) if kind == "python")
    names = in_backticks(guide) + re.findall(r"\brd\.\w+", code)
    for name in names:
        name = name.partition("(")[0].removeprefix("ratedistortion.")
        if not re.fullmatch(r"\w+(\.\w+)+", name) or name.endswith(SUFFIXES):
            continue
        first, _, rest = name.partition(".")
        if first == "rd" and rest != "parquet":
            assert python_name_exists(rest), f"rd has no {rest}"
        elif first in rooms:
            assert python_name_exists(name), f"no such name: ratedistortion.{name}"


@each_guide
def test_named_targets_and_options_exist(guide: Path) -> None:
    """`make X` in backticks and in blocks, and every option of our commands."""
    text = BLOCK.sub("", guide.read_text(encoding="utf-8"))
    lines = INDENTED.findall(text) + [
        line for _, b in FENCE.findall(text) for line in b.split("\n")
    ]
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    options = {
        name: {text for parameter in command.params for text in parameter.opts} | {"--help", "-h"}
        for name, command in COMMANDS.items()
    }
    for line in in_backticks(guide) + lines:
        words = shlex.split(line, comments=True) if line.startswith(("make ", "rd-")) else []
        if words[:1] == ["make"]:
            named = {word for word in words[1:] if "=" not in word}
            assert named <= targets | {".venv/installed"}, line
        elif words and words[0] in options:
            asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            assert asked <= options[words[0]], line
        elif re.fullmatch(r"--[a-z-]+( .*)?", line) and "rd-" in text:
            assert line.split()[0] in set().union(*options.values()), line


def test_python_examples_about_the_table_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "table" / "digits-0.1.0.parquet", "runs/digits/rd.parquet")
    names: dict[str, object] = {}
    guide = (ROOT / "ratedistortion" / "table" / "README.md").read_text(encoding="utf-8")
    examples = [text for kind, text in FENCE.findall(guide) if kind == "python"]
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert len(examples) >= 2


@each_guide
def test_code_blocks_can_be_read(guide: Path) -> None:
    for kind, text in FENCE.findall(guide.read_text(encoding="utf-8")):
        if kind == "python":
            compile(text, str(guide), "exec")
        if kind == "toml":
            values = tomllib.loads(text).items()
            from_mapping({name.replace("-", "_"): value for name, value in values}, str(guide))


def test_every_example_says_how_long_it_takes_and_what_to_expect() -> None:
    examples = [
        path for path in ROOT.glob("examples/**/*") if path.suffix in (".py", ".sh", ".toml")
    ]
    assert len(examples) >= 16
    for example in examples:
        top = "\n".join(example.read_text(encoding="utf-8").splitlines()[:20])
        assert "Running time: " in top and "Expect: " in top, example
        if example.suffix == ".toml":
            from_mapping(read_config(example), str(example))


def test_every_exit_code_is_in_the_guide_of_the_commands() -> None:
    guide = (ROOT / "ratedistortion" / "cli" / "README.md").read_text(encoding="utf-8")
    codes = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+) \|", guide, re.MULTILINE)}


def test_the_workflow_and_ci_run_makefile_targets_only() -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text())
    workflow = (ROOT / ".github" / "workflows" / "check.yml").read_text()
    script = (ROOT / ".ci" / "run").read_text().partition('/.."\n')[2]
    commands = re.findall(r"run: (.+)", workflow) + script.splitlines()
    assert len(commands) >= 8
    for command in commands:
        program, target, *variables = command.split()
        assert program == "make" and target in targets, command
        assert all("=" in variable for variable in variables), command


def test_the_version_is_the_same_everywhere() -> None:
    version = ratedistortion.__version__
    assert metadata.version("ratedistortion") == version
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    released = re.findall(r"^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0][0] == version
    assert f"\ndate-released: {released[0][1]}\n" in (ROOT / "CITATION.cff").read_text()
    for name, command in COMMANDS.items():
        result = CliRunner().invoke(command, ["--version"], prog_name=name)
        assert isinstance(command, click.Command) and version in result.output


if __name__ == "__main__":
    for path in GUIDES:
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")
