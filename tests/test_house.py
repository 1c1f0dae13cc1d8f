"""The shape of the house: imports go down only, heavy ones wait, files have one idea."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.faults import faults

import ratedistortion
from ratedistortion.datasets import DATASETS
from ratedistortion.figures import FIGURES
from ratedistortion.models.families import FAMILIES as MODELS

NAME = "ratedistortion"
HOUSE = Path(ratedistortion.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

# From the roof down. A module imports from lower storeys, a folder's files also from each other.
STOREYS = (
    "cli",
    "verify",
    "__init__",
    "api",
    "progress sweeping exported trained",
    "engine",
    "training measuring testing",
    "models",
    "run_directory figures datasets",
    "curve estimators",
    "table theory",
    "settings untrusted",
    "errors events files foreign",
    "text",
)
LEVELS = {room: -n for n, storey in enumerate(STOREYS) for room in storey.split()}


def imported(source: str, rooms: set[str]) -> Iterator[tuple[int, str]]:
    """Line and room of every import from the package, at the top of a file or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == NAME:
                    yield node.lineno, (alias.name.split(".") + ["__init__"])[1]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide where they go"
            package, *inside = (node.module or "").split(".")
            if package == NAME and inside:
                yield node.lineno, inside[0]
            elif package == NAME:
                for alias in node.names:
                    yield node.lineno, alias.name if alias.name in rooms else "__init__"


def upward(files: dict[str, str], levels: dict[str, int]) -> list[str]:
    """What is wrong with the imports of files, by their paths inside the package."""
    rooms = {path.split("/")[0].removesuffix(".py") for path in files}
    faults = [f"{room} is on no storey" for room in sorted(rooms - levels.keys())]
    for path, source in files.items():
        own = path.split("/")[0].removesuffix(".py")
        for line, room in imported(source, rooms):
            if room not in levels:
                faults.append(f"{path}:{line} imports {room}, which is on no storey")
            elif room != own and levels[room] >= levels.get(own, 0):
                faults.append(f"{path}:{line} imports {room}, which is not below {own}")
    return faults


def test_imports_go_down_only():
    files = {str(path.relative_to(HOUSE)): path.read_text() for path in FILES}
    assert upward(files, LEVELS) == []


def test_no_room_is_planned_that_is_not_built():
    assert {path.relative_to(HOUSE).parts[0].removesuffix(".py") for path in FILES} == set(LEVELS)


DOWN = """\
from ratedistortion.errors import X
from ratedistortion.training.parts import X
import numpy
from pathlib import Path
from ratedistortion import errors
"""
UP = """\
from ratedistortion.api import X
import ratedistortion.api
from ratedistortion import api
import ratedistortion
from ratedistortion import Settings
from ratedistortion.measuring import X
from ratedistortion.attic import X
def lazy():
    from ratedistortion.api import X
if TYPE_CHECKING:
    from ratedistortion.api import X
"""


def test_the_walk_finds_what_goes_up():
    files = dict.fromkeys(["api.py", "errors.py", "measuring.py", "__init__.py"], "")
    assert upward(files | {"training/a.py": DOWN}, LEVELS) == []
    found = upward(files | {"training/a.py": UP}, LEVELS)
    rooms = dict(enumerate("api api api __init__ __init__ measuring attic".split(), start=1))
    rooms |= {9: "api", 11: "api"}
    assert len(found) == len(rooms)
    for fault, (line, room) in zip(found, rooms.items(), strict=True):
        assert fault.startswith(f"training/a.py:{line} imports {room}, which is ")
        assert fault.endswith("on no storey" if room == "attic" else "not below training")
    assert upward({"attic.py": ""}, {}) == ["attic is on no storey"]


def names_imported(source: str) -> set[str]:
    """The top-level packages that a file imports anywhere."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize(
    "package, rooms",
    [
        ("flax", {"models"}),
        ("optax", {"training"}),
        ("click", {"cli"}),
        ("rich", {"progress"}),
        ("matplotlib", {"figures"}),
        ("safetensors", {"run_directory"}),
        ("tensorflow_datasets", {"datasets"}),
        *((package, set()) for package in ("equinox", "distrax", "tensorflow", "torch", "seaborn")),
    ],
)
def test_a_library_lives_in_its_own_room(package, rooms):
    found = {
        path.relative_to(HOUSE).parts[0].removesuffix(".py")
        for path in FILES
        if package in names_imported(path.read_text())
    }
    assert found <= rooms


def test_figures_are_made_without_pyplot():
    assert [path for path in FILES if "pyplot" in path.read_text()] == []


def after(program: str, *modules: str) -> str:
    """Which of some modules a fresh interpreter has loaded after a program."""
    program += f"\nimport sys\nprint([m for m in {modules!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


HEAVY = ("jax", "flax", "optax", "numpy", "pandas", "pyarrow", "matplotlib", "rich")


@pytest.mark.parametrize(
    "program",
    ["import ratedistortion", "import ratedistortion.cli.sweep", "import ratedistortion.cli.plot"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(program):
    assert after(program, *HEAVY) == "[]"


def test_training_does_not_wait_for_the_libraries_of_tables():
    assert after("import ratedistortion.sweeping.sweep", "pandas", "pyarrow") == "[]"


NO_JAX = ("table", "curve", "figures", "run_directory/npz_files.py", "run_directory/reading.py")


def modules_of(rooms: tuple[str, ...]) -> list[str]:
    """The dotted names of all files in some folders, or of some files."""
    found = [path for room in rooms for path in ([HOUSE / room] if "." in room else FILES)]
    inside = [path for path in found if str(path.relative_to(HOUSE)).startswith(rooms)]
    dotted = {".".join(path.relative_to(HOUSE.parent).with_suffix("").parts) for path in inside}
    return sorted(name.removesuffix(".__init__") for name in dotted)


def test_tables_curves_and_figures_need_no_jax():
    names = modules_of(NO_JAX)
    assert len(names) > 25
    assert after("; ".join(f"import {name}" for name in names), "jax") == "[]"


# Names of the standard library, and ways of open(), that change what is in a folder.
WRITERS = "write_text write_bytes touch mkdir makedirs rmdir unlink rename fsync rmtree".split()


def changed_files(source: str) -> list[int]:
    """The lines that write, make or remove files and folders; io buffers are no files."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("O_CREAT", "O_RDWR"):
            lines.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        modes = [word for word in words if isinstance(word, str) and set(word) <= set("wax+bt")]
        if name in WRITERS or (name == "open" and any(modes)):
            lines.append(node.lineno)
    return lines


def test_one_file_writes_files():
    found = {
        str(path.relative_to(HOUSE)): lines
        for path in FILES
        if (lines := changed_files(path.read_text()))
    }
    # The others make the folder of the cache of compiled programs, and open closed streams.
    assert {path: len(lines) for path, lines in found.items() if path != "files.py"} == {
        "cli/process.py": 2,
        "cli/start.py": 1,
    }


PURE = ("engine", "training", "measuring", "models", "estimators", "theory")


def test_what_computes_knows_no_paths():
    for path in FILES:
        if path.relative_to(HOUSE).parts[0] in PURE:
            modules = names_imported(path.read_text())
            assert not modules & {"pathlib", "tempfile", "shutil"}, path


FAMILIES = MODELS | {"datasets": DATASETS, "figures": FIGURES}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_plain_dicts_of_documented_functions(family):
    members = FAMILIES[family]
    assert type(members) is dict and members
    for name, member in members.items():
        assert name == name.lower() and callable(member)
        if family == "figures":  # imported when it draws
            member = importlib.import_module(f"{NAME}.figures.{name.replace('-', '_')}").draw
        assert inspect.getdoc(member), f"{family}: {name} has no docstring"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_file_has_one_idea(path):
    source = path.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree), "a file says what it is for"
    if path.name == "__init__.py":
        for node in tree.body:
            if path.parent == HOUSE and isinstance(node, ast.If | ast.FunctionDef):
                continue  # names that are loaded when they are asked for
            assert isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign)
            if isinstance(node, ast.Assign):
                assert ast.literal_eval(node.value), "only __all__ and __version__"


def public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            # What a base class has documented need not be said again.
            own = isinstance(node, ast.ClassDef) and not node.bases
            for inner in node.body if own else []:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield inner


def test_everything_public_has_a_docstring():
    missing = [
        f"{path.relative_to(HOUSE)}: {node.name}"
        for path in FILES
        for node in public(ast.parse(path.read_text()))
        if not ast.get_docstring(node)
    ]
    assert missing == []


def test_every_known_fault_can_still_be_planted():
    """`make faults` replaces texts of the package; each must be there, once in its folder."""
    assert len(list(faults())) >= 58
