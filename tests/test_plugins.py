"""A package of others adds a model and a band: the example is installed, and found by its names."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import make_grid

from geomfaf import plugins
from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.installed import InstalledLayer
from geomfaf.rasters.bands import Band
from geomfaf.synthetic import make_survey

EXAMPLE = Path(__file__).parents[1] / "examples" / "package"

ASKED = """
import geomfaf as gm
from geomfaf.models.baselines import BASELINES, make_baseline
from geomfaf.settings.check import require_settings
require_settings("evaluate", {"baselines": ["nearest windows"]})
assert "nearest windows" in BASELINES
print(make_baseline("nearest windows", seed=3).estimator)
survey, _ = gm.check_survey(gm.make_survey("small")[0])
stack = gm.build_stack(survey, gm.survey_grid(survey, cell=400), elements=[], installed=["eastness"])
print(*stack["band"].values, float(stack.sel(band="eastness").max()))
print(stack.attrs["making"])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder into which pip has installed the example package."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for path in EXAMPLE.iterdir():
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--target", folder / "site", source], check=True, capture_output=True, text=True
    )
    return folder / "site"


@pytest.mark.slow
def test_what_a_package_brings_is_found_by_name(place):
    code = f"import sys; sys.path.insert(0, {str(place)!r})\n{ASKED}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    model, bands, making = result.stdout.splitlines()
    assert model == "KNeighborsClassifier(n_neighbors=15)"
    # Fifty cells of 400 m: the last centre lies half a cell from the eastern edge.
    assert bands == "geology fault_distance eastness 19800.0"
    assert '"package": "geomfaf-example 1.0"' in making
    assert '"screened": "yes"' in making


def test_the_example_has_ten_lines():
    code = [line for line in (EXAMPLE / "geomfaf_example.py").read_text().splitlines()[1:] if line]
    assert len(code) <= 10


class Entry:
    """An entry point that is not installed."""

    dist = None

    def __init__(self, thing):
        self.thing = thing

    def load(self):
        if isinstance(self.thing, Exception):
            raise self.thing
        return self.thing


@pytest.fixture
def known(monkeypatch):
    """Entry points by name, in place of those that are installed."""
    found = {}
    monkeypatch.setattr(plugins, "installed", lambda group: found)
    return found


def test_names_that_nobody_brings_are_refused_with_the_nearest(known):
    known["eastness"] = Entry(None)
    with pytest.raises(UsageError, match=r'"eastnes".*Did you mean "eastness"'):
        plugins.load_installed(plugins.BANDS, "eastnes")


def test_a_package_that_cannot_be_imported_is_named(known):
    known["broken"] = Entry(ImportError("No module named gone"))
    with pytest.raises(UsageError, match=r"broken.*No module named gone"):
        plugins.load_installed(plugins.BANDS, "broken")


def test_a_band_of_others_fits_the_grid_and_sees_no_deposit(known):
    survey = make_survey("small")[0]
    grid = make_grid(6, 5)
    seen = []

    def band(survey, grid):
        seen.append(len(survey.deposits))
        return Band("ones", "continuous"), np.arange(30).reshape(6, 5)

    known["ones"] = Entry(band)
    layer = InstalledLayer("ones", survey, grid)
    assert seen == [0]
    assert layer.block(1, 2, 2, 3).tolist() == [[[7, 8, 9], [12, 13, 14]]]
    known["wrong"] = Entry(lambda survey, grid: (Band("wrong"), np.zeros((2, 2))))
    with pytest.raises(DataError, match=r"shape \(2, 2\).*\(6, 5\)"):
        InstalledLayer("wrong", survey, grid)
