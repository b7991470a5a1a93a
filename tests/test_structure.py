"""The house rules that a machine can check: who imports whom, and what the command line loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import geomfaf

HOME = Path(geomfaf.__file__).parent
ORDER = (
    "errors grid bands elements units values censored progress findings flaws geometry duplicates classes formats "
    "place read recognise assays check compositions screen idw rasterize faults write stack variogram windows "
    "features folds negatives encode augment intervals metrics weights_of_evidence table_model fuzzy_overlay baselines "
    "partners calibrate small_maps backbones mfaf checkpoint devices recipe train starting_weights pretrain "
    "uncertainty chance processes model model_files predict explain applicability heldout optimism verdict evaluate "
    "assess targets figures report synthetic init settings prepare project experiment cli_inputs cli_options "
    "cli_stack cli_models cli"
).split()
GRIDDING = ("tree_engine options weights sight barriers samples validate kernels quadtree far plan").split()
BLOCKWISE = "runner tiff_tiles raster_files stream".split()


def modules_imported_by(path, level=1):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == level]
    return {node.module or alias.name for node in nodes for alias in node.names}


def test_every_module_has_its_place_in_the_data_flow():
    files = {path.stem for path in HOME.glob("*.py")} - {"__init__"}
    assert files == set(ORDER)
    assert {path.stem for path in HOME.glob("gridding/*.py")} - {"__init__"} == set(GRIDDING)
    assert {path.stem for path in HOME.glob("blockwise/*.py")} - {"__init__"} == set(BLOCKWISE)


def test_imports_point_upstream():
    place = {name: number for number, name in enumerate(ORDER)}
    for name in ORDER:
        for other in modules_imported_by(HOME / f"{name}.py") - {"__version__", "__init__"}:
            if other.startswith("gridding"):
                assert name == "idw", "the engines are reached through idw alone"
                continue
            if other.startswith("blockwise"):
                assert place[name] >= place["idw"], "blocks come after reading and checking"
                continue
            assert place[other] < place[name], f"{name} imports {other}, which comes later in the data flow"


@pytest.mark.parametrize(("folder", "order"), [("gridding", GRIDDING), ("blockwise", BLOCKWISE)])
def test_packages_import_upstream_and_only_the_foundations_of_the_house(folder, order):
    place = {name: number for number, name in enumerate(order)}
    for name in order:
        for other in modules_imported_by(HOME / folder / f"{name}.py"):
            assert place[other] < place[name], f"{folder}/{name} imports {other}, which comes later"
        assert modules_imported_by(HOME / folder / f"{name}.py", level=2) <= {"errors", "grid", "bands", "progress"}


def test_the_command_line_starts_without_heavy_packages():
    heavy = "{'numpy', 'pandas', 'torch', 'geopandas', 'rasterio'}"
    code = f"import sys, geomfaf.cli; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_public_interface_is_there_and_gridding_needs_no_torch():
    code = (
        "import sys, geomfaf; geomfaf.idw_grid, geomfaf.read_survey, geomfaf.build_stack; print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
    for name in geomfaf.__all__:
        assert getattr(geomfaf, name) is not None
