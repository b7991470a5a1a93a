"""Log-ratios: closed forms, geometry of the simplex, and their way through screening
and gridding.
"""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely import box

from geomfaf.cli.main import main
from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.inverse_distance import idw
from geomfaf.evidence.stack import build_stack
from geomfaf.models.network.encode import fit_encoder
from geomfaf.rasters.bands import bands_of
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid
from geomfaf.run.project import load_project
from geomfaf.run.template import init_project
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.cleaning.log_ratios import LOG_RATIO, clr, ilr, pivot_basis, use_log_ratios
from geomfaf.survey.survey import Survey
from geomfaf.synthetic import make_survey, write_survey
from geomfaf.windows.screen import screen_elements

PARTS = arrays(
    float, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(1e-3, 1e6)
)


def survey_of(**columns):
    count = len(next(iter(columns.values())))
    points = gpd.points_from_xy(np.arange(count) % 6 * 1000.0, np.arange(count) // 6 * 1000.0)
    samples = gpd.GeoDataFrame(columns, geometry=points, crs=32633)
    deposits = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0, 5000], [0, 5000]), crs=32633)
    area = gpd.GeoDataFrame(geometry=[box(-500, -500, 5500, 5500)], crs=32633)
    return Survey(
        samples=samples, deposits=deposits, study_area=area, elements=dict.fromkeys(columns, "ppm")
    )


def three_parts(seed=0):
    rng = np.random.default_rng(seed)
    return survey_of(
        Cu=rng.lognormal(3, 1, 36), Pb=rng.lognormal(2, 1, 36), Zn=rng.lognormal(4, 1, 36)
    )


@given(PARTS, st.floats(0.01, 100))
def test_log_ratios_do_not_know_the_whole(parts, factor):
    """Scale invariance: percent or ppm, the ratios are the same; a clr adds up to zero."""
    np.testing.assert_allclose(clr(parts * factor), clr(parts), atol=1e-9)
    np.testing.assert_allclose(ilr(parts * factor), ilr(parts), atol=1e-9)
    np.testing.assert_allclose(clr(parts).sum(axis=1), 0, atol=1e-9)


@given(PARTS)
def test_ilr_keeps_distances_and_can_be_undone(parts):
    centred, coordinates = clr(parts), ilr(parts)
    np.testing.assert_allclose(
        (coordinates**2).sum(axis=1), (centred**2).sum(axis=1), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(coordinates @ pivot_basis(parts.shape[1]).T, centred, atol=1e-9)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_basis_is_orthonormal(count):
    basis = pivot_basis(count)
    np.testing.assert_allclose(basis.T @ basis, np.eye(count - 1), atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=0), 0, atol=1e-12)


def test_pivot_coordinates_by_their_formula():
    parts = np.array([[2.0, 3.0, 5.0, 7.0]])
    expected = [
        np.sqrt(3 / 4) * np.log(2 / (3 * 5 * 7) ** (1 / 3)),
        np.sqrt(2 / 3) * np.log(3 / (5 * 7) ** (1 / 2)),
        np.sqrt(1 / 2) * np.log(5 / 7),
    ]
    np.testing.assert_allclose(ilr(parts)[0], expected)


@pytest.mark.parametrize("function", [clr, ilr])
def test_zeros_are_refused_and_gaps_stay_gaps(function):
    with pytest.raises(
        DataError, match="2 parts are zero or negative: replace values below detection first"
    ):
        function(np.array([[1.0, 0.0, 2.0], [1.0, -1.0, 2.0]]))
    with pytest.raises(UsageError, match="is no composition"):
        function(np.array([[1.0], [2.0]]))
    ratios = function(np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 3.0]]))
    assert np.isnan(ratios[0]).all()
    assert np.isfinite(ratios[1]).all()


@pytest.mark.parametrize(
    ("kind", "names"),
    [("clr", ["clr(Cu)", "clr(Pb)", "clr(Zn)"]), ("ilr", ["ilr(Cu : Pb Zn)", "ilr(Pb : Zn)"])],
)
def test_a_survey_in_log_ratios_is_screened_and_gridded(kind, names):
    survey = three_parts()
    before = survey.samples.copy(deep=True)
    ratios = use_log_ratios(survey, kind=kind)
    assert survey.samples.equals(before)
    assert ratios.elements == dict.fromkeys(names, LOG_RATIO)
    values = survey.samples[["Cu", "Pb", "Zn"]].to_numpy()
    np.testing.assert_allclose(ratios.samples[names], (clr if kind == "clr" else ilr)(values))
    for method in ("rank", "svm"):
        table = screen_elements(
            ratios.samples, ratios.deposits, ratios.elements, radius=2000, method=method
        )
        assert set(table["element"]) == set(names)
        assert table["auc"].notna().all()
    grid = Grid.from_bounds((-500, -500, 5500, 5500), 250, 32633)
    stack = build_stack(ratios, grid)
    bands = bands_of(stack)
    assert [(band.name, band.kind, band.unit) for band in bands] == [
        (name, "ratio", LOG_RATIO) for name in names
    ]
    xy = np.column_stack([survey.samples.geometry.x, survey.samples.geometry.y])
    expected = idw(xy, ratios.samples[names].to_numpy().T, grid, neighbours=12)
    np.testing.assert_allclose(stack.values, expected, rtol=1e-5, atol=1e-6)
    assert (stack.values < 0).any()
    encoder = fit_encoder(stack.values, bands)
    assert np.std(encoder.transform(stack.values, names)) > 0.5


def test_the_parts_are_declared_by_symbol_and_the_rest_is_left_out():
    ratios = use_log_ratios(three_parts(), parts=["zn", "Cu"])
    assert list(ratios.elements) == ["clr(Zn)", "clr(Cu)"]


def test_what_cannot_be_a_composition_is_refused():
    survey = three_parts()
    with pytest.raises(UsageError, match='log-ratio "alr" is unknown'):
        use_log_ratios(survey, kind="alr")
    with pytest.raises(UsageError, match="needs two parts or more, not 1"):
        use_log_ratios(survey, parts=["Cu"])
    with pytest.raises(DataError, match="Zn cannot be a part: check set it aside"):
        use_log_ratios(replace(survey, elements={"Cu": "ppm", "Pb": "ppm"}), parts=["Cu", "Zn"])
    zeros = survey.samples.assign(Cu=survey.samples["Cu"].where(survey.samples.index > 3, 0.0))
    with pytest.raises(
        DataError, match=r'Cu has 4 values that are zero or negative.*such as "half"'
    ):
        use_log_ratios(replace(survey, samples=zeros))
    gaps = survey.samples.assign(Cu=survey.samples["Cu"].where(survey.samples.index < 0))
    with pytest.raises(DataError, match="no sample has all 3 parts"):
        use_log_ratios(replace(survey, samples=gaps))


def test_censored_values_are_settled_before_ratios_are_taken():
    survey = three_parts()
    dirty = survey.samples.assign(
        Cu=survey.samples["Cu"].astype(str).where(survey.samples.index > 2, "<0.5")
    )
    for replacement, fine in (("half", True), ("multiplicative", True), ("zero", False)):
        checked, _ = check_survey(replace(survey, samples=dirty), replacement=replacement)
        if fine:
            assert np.isfinite(use_log_ratios(checked).samples["clr(Cu)"]).all()
        else:
            with pytest.raises(DataError, match="3 values that are zero"):
                use_log_ratios(checked)


def test_the_commands_and_the_project_file_take_log_ratios(tmp_path):
    survey, _ = make_survey(seed=1)
    write_survey(survey, tmp_path / "survey.gpkg")
    init_project([tmp_path / "survey.gpkg"], tmp_path / "geomfaf.toml")
    toml = tmp_path / "geomfaf.toml"
    toml.write_text(
        toml.read_text() + '\n[composition]\nkind = "ilr"\nparts = ["Cu", "Pb", "Zn"]\n'
    )
    assert load_project(toml).stage("composition") == {"kind": "ilr", "parts": ["Cu", "Pb", "Zn"]}
    result = CliRunner().invoke(main, ["screen", str(toml), "--json"])
    assert result.exit_code == 0, result.output
    assert "ilr(Cu : Pb Zn)" in result.stdout
    words = [
        "stack",
        str(tmp_path / "survey.gpkg"),
        str(tmp_path / "stack.tif"),
        "--cell",
        "500",
        "--log-ratio",
        "clr",
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    kinds = {band.name: band.kind for band in bands_of(read_raster(tmp_path / "stack.tif"))}
    assert kinds["clr(Cu)"] == "ratio"
    assert kinds["geology"] == "class"
