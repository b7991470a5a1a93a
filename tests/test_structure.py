"""The rules of the house that a machine can check: who imports whom, where torch is, what a name is."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import geomfaf

HOME = Path(geomfaf.__file__).parent
# Each folder imports from folders before it (those of one line do not know each other).
ORDER = [
    ["errors"],
    ["plugins"],
    ["settings"],
    ["progress", "files", "notebook"],
    ["rasters"],
    ["survey"],
    ["synthetic_ground"],
    ["synthetic"],
    ["synthetic_rasters"],
    ["evidence", "windows"],
    ["models"],
    ["evaluation"],
    ["deliver"],
    ["run"],
    ["cli"],
]
PLACE = {name: number for number, line in enumerate(ORDER) for name in line}
PATHS = sorted(path for path in HOME.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(HOME).with_suffix("").parts)


def imports_of(path: Path) -> set[str]:
    """Return the modules of the package that a module names in any import, in whichever function it stands."""
    module = name_of(path).split(".")
    names = {name_of(other) for other in PATHS}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = [*module[: len(module) - node.level], *(node.module or "").split(".")]
        target = ".".join(part for part in base if part)
        for alias in node.names:
            full = f"{target}.{alias.name}".strip(".")
            if full in names:
                found.add(full)
            elif target in names:
                found.add(target)
    return found


def at_top_level(path: Path) -> set[str]:
    """Return the names of other packages that are imported when the module is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def test_every_module_lives_in_a_folder_of_the_data_flow():
    tops = {name_of(path).split(".")[0] for path in PATHS} - {"__main__"}
    assert tops == set(PLACE)


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_imports_point_to_folders_before(path):
    here = name_of(path).split(".")[0]
    for other in imports_of(path):
        there = other.split(".")[0]
        if there != here and here != "__main__":
            assert PLACE[there] < PLACE[here], f"{name_of(path)} imports {other}, a later folder"


def test_no_module_imports_itself_round_about():
    graph = {name_of(path): imports_of(path) for path in PATHS}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*above, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_engines_are_reached_through_inverse_distance_and_the_stack_alone():
    users = {
        name_of(path)
        for path in PATHS
        if any("idw_engines" in other for other in imports_of(path))
        and "idw_engines" not in name_of(path)
    }
    assert users == {"evidence.inverse_distance"}


def test_torch_is_imported_in_the_network_alone():
    users = {name_of(path) for path in PATHS if at_top_level(path) & {"torch", "torchvision"}}
    outside = {name for name in users if not name.startswith("models.network.")}
    assert outside == {"models.attention", "models.fold_models"}


def loaded_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after some code."""
    shown = f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_the_command_line_starts_without_heavy_packages():
    heavy = {"numpy", "pandas", "torch", "geopandas", "rasterio", "sklearn", "matplotlib"}
    assert not heavy & loaded_after("import geomfaf.cli.main")


@pytest.mark.parametrize("module", ["rasters", "survey", "evidence", "windows"])
def test_whole_folders_need_no_torch(module):
    names = [name_of(path) for path in PATHS if name_of(path).startswith(f"{module}.")]
    assert "torch" not in loaded_after("; ".join(f"import geomfaf.{name}" for name in names))


def test_settings_and_judging_load_no_torch_before_a_network_is_there():
    names = ["run.project", "run.run", "evaluation.run_evaluation", "models.predict"]
    assert "torch" not in loaded_after("; ".join(f"import geomfaf.{name}" for name in names))


def test_a_run_starts_without_what_only_some_stages_use():
    """Who changes a target setting alone waits for all that is loaded."""
    late = {"torch", "sklearn", "numba"}
    assert not late & loaded_after("import geomfaf.run.run")
    # Statistics take half a second.
    code = "import geomfaf.run.run; assert 'scipy.stats' not in sys.modules"
    assert "scipy" in loaded_after(code)


def test_half_a_pixel_is_written_in_the_grid_alone():
    """A cell's centre is half a cell from its corner; who else needs a place asks the grid."""
    shift = re.compile(r"(transform|affine)[^\n]*[+-] ?0\.5|0\.5 ?\* ?\w*\.?(cell|transform)\b")
    users = {
        name_of(path)
        for path in PATHS
        if any(shift.search(line.split("#")[0]) for line in path.read_text().splitlines())
    }
    assert users <= {"rasters.grid"}


def test_no_public_name_is_a_module_too():
    modules = {name.rpartition(".")[2] for name in map(name_of, PATHS)}
    folders = {path.name for path in HOME.rglob("*") if path.is_dir()}
    assert not (modules | folders) & set(geomfaf.__all__)


def test_public_names_stay_what_they_are_after_every_module_is_imported():
    for found in pkgutil.walk_packages(geomfaf.__path__, "geomfaf."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for name in geomfaf.__all__:
        assert not inspect.ismodule(getattr(geomfaf, name)), name


def test_public_functions_show_their_real_keywords():
    options_of_a_dataclass = {"training_options"}
    for name in set(geomfaf.__all__) - options_of_a_dataclass:
        thing = getattr(geomfaf, name)
        if inspect.isfunction(thing):
            kinds = {p.kind for p in inspect.signature(thing).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{name} hides keywords in **"


def test_the_public_interface_is_small():
    assert len(geomfaf.__all__) <= 70


@pytest.mark.parametrize("name", geomfaf.__all__)
def test_every_public_name_says_what_it_is_and_shows_how_it_is_called(name):
    """pytest runs the examples too: --doctest-modules."""
    words = inspect.getdoc(getattr(geomfaf, name)) or ""
    assert len(words.partition("\n\n")[0]) > 20, f"{name} does not say what it is"
    examples = re.findall(r"^>>> (?!import|from)(.+)$", words, re.MULTILINE)
    assert any(name in line for line in examples), f"{name} has no example that calls it"


@pytest.mark.parametrize("name", geomfaf.__all__)
def test_every_public_name_says_what_it_takes_what_it_gives_and_what_it_raises(name):
    thing = getattr(geomfaf, name)
    words = inspect.getdoc(thing) or ""
    if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, BaseException)):
        return
    # 1. each parameter, by name, in a section of its own
    signature = inspect.signature(thing)
    section = re.search(
        r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\w+\n-+$|\Z)", words, re.M | re.S
    )
    entries = re.findall(r"^[*\w].*$", section[1], re.MULTILINE) if section else []
    described = {word for entry in entries for word in re.findall(r"\w+", entry.split(" : ")[0])}
    assert not set(signature.parameters) - described - {"self"}, f"{name} does not describe these"
    # 2. what comes back, and what may go wrong
    gives = signature.return_annotation not in (None, "None", inspect.Signature.empty)
    if inspect.isfunction(thing) and gives:
        assert re.search(r"^(Returns|Yields)\n-+$", words, re.MULTILINE), f"{name}: Returns"
    if re.search(r"^ +raise ", inspect.getsource(thing), re.MULTILINE):
        assert re.search(r"^Raises\n-+$", words, re.MULTILINE), f"{name}: Raises"


def test_names_that_docstrings_point_to_exist():
    """:func:`geomfaf.idw_grid` is public; :func:`geomfaf.windows.fold_files.read_folds` is where it says."""
    pointer = re.compile(r":(?:func|class|mod|data|meth):`(geomfaf[\w.]+)`")
    lost = []
    for path in PATHS:
        for target in pointer.findall(path.read_text(encoding="utf-8")):
            thing, rest = geomfaf, target.split(".")[1:]
            while rest:
                name = rest.pop(0)
                if not hasattr(thing, name):
                    try:
                        importlib.import_module(f"{thing.__name__}.{name}")
                    except (ModuleNotFoundError, AttributeError):
                        lost.append(f"{name_of(path)}: {target}")
                        break
                thing = getattr(thing, name)
    assert not lost
