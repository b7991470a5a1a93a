"""`make plugin` gives a ZIP that QGIS installs: one folder, its metadata, the licence, nothing else."""

import shutil
import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_zip_has_the_structure_that_qgis_demands(tmp_path):
    for name in ("qgis_plugin", "LICENSE", "Makefile"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    # What running it leaves behind stays out.
    (tmp_path / "qgis_plugin" / "geomfaf_qgis" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "qgis_plugin" / "geomfaf_qgis" / "__pycache__" / "x.pyc").write_bytes(b"x")
    subprocess.run(["make", "plugin"], cwd=tmp_path, check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / "dist" / "geomfaf_qgis.zip") as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"geomfaf_qgis"}
    needed = ("__init__.py", "metadata.txt", "LICENSE", "icon.svg")
    assert {f"geomfaf_qgis/{name}" for name in needed} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    sources = {path.name for path in (ROOT / "qgis_plugin" / "geomfaf_qgis").glob("*.py")}
    assert {name.split("/")[-1] for name in names if name.endswith(".py")} == sources
