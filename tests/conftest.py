"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings

from geomfaf.progress import show_progress

# A busy machine is no failure of the code under test.
settings.register_profile("geomfaf", deadline=None)
settings.load_profile("geomfaf")

# Runs in the Python of QGIS, not in this one.
collect_ignore = [
    "deliver/qgis_check.py",
    "qgis_plugin/qgis_run.py",
    "qgis_plugin/qgis_cancel.py",
    "qgis_plugin/qgis_pictures.py",
]

AREAS = Path(__file__).parents[2] / "shared" / "areas"


@pytest.fixture
def real_area():
    """Return the path of a real area's GeoPackage by its name, or skip where the data are not
    there.
    """

    def path_of(name: str) -> Path:
        path = AREAS / f"{name}.gpkg"
        if not path.exists():
            pytest.skip(f"the real area {name} is not here: {path.parent} is missing or incomplete")
        return path

    return path_of


@pytest.fixture(autouse=True)
def silent_progress():
    """Leave progress as a program finds it: commands under test choose a style for the whole
    process.
    """
    yield
    show_progress("none")


@pytest.fixture(scope="module")
def few_trees():
    """Whole runs grow small forests: growing them is a third of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geomfaf.models.baselines.TREES", 60)
        yield
