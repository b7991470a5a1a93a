"""What people read: the summary says the verdict and the counts, the pictures show something."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from builders import make_grid, make_scores, make_stack, points_in, scattered_cells, smooth_noise
from matplotlib.figure import Figure
from matplotlib.image import imread

from geomfaf.deliver.figures import _number_targets, draw_curves, draw_scores, draw_stack
from geomfaf.deliver.report import UNSUPPORTED, map_rows, window_rows, write_summary
from geomfaf.deliver.targets import make_targets, placed_deposits
from geomfaf.errors import OutputExistsError
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.survey.survey import Survey
from geomfaf.windows.screen import screen_elements

GRID = make_grid(60, 80)
VERDICT = [
    "MFAF's map ranks unseen deposits better than chance (7 of 9).",
    "Extra trees beats MFAF here: prefer it.",
]
FINDINGS = pd.DataFrame(
    [["fixed", "samples", "Au|Ag", "zero values", 12, "read as half the limit"]],
    columns=["severity", "layer", "column", "rule", "count", "done"],
)


def survey(*, faults: bool = True) -> Survey:
    rng = np.random.default_rng(0)
    samples = points_in(GRID, *scattered_cells(GRID, 120, 5)).assign(Au=rng.lognormal(size=120))
    west, south, east, north = GRID.bounds
    lines = [
        shapely.LineString([(west, south), (east, north)]),
        shapely.MultiLineString([[(west, north), (east, south)]]),
    ]
    layer = gpd.GeoDataFrame(geometry=lines, crs=GRID.crs) if faults else None
    return Survey(
        samples, points_in(GRID, *scattered_cells(GRID, 6, 2)), faults=layer, elements={"Au": "ppb"}
    )


def score_map():
    return make_scores(GRID, 1 / (1 + np.exp(-smooth_noise(GRID.shape, 3, 4.0))))


def evaluation(leaking: bool = True) -> pd.DataFrame:
    figures = {
        "accuracy": 0.8,
        "auc": 0.71,
        "recall": 0.6,
        "f1": 0.65,
        "windows": 30,
        "ore_windows": 6,
    }
    figures |= {"average_precision": 0.5, "brier": 0.15, "calibration_error": 0.1}
    found = {"map_auc": (0.734, 0.512, 0.911), "nd": (3.04, 1, 5), "pa_area": (0.25, 0.2, 0.3)}
    found |= {f"capture_{share}": (share / 40, 0, 0.5) for share in (1, 2, 5, 10, 20)}
    map_figures = {"deposits": 6, "clusters": 4, "draws": 2, "boyce": 0.5}
    map_figures |= {"map_auc_sd_draws": 0.011, "map_auc_sd_folds": np.nan}
    for name, triple in found.items():
        map_figures |= dict(zip((name, f"{name}_low", f"{name}_high"), triple, strict=True))
    rows = [{"model": "MFAF", "protocol": "spatial folds", **figures, **map_figures}]
    if leaking:
        rows.append({"model": "MFAF", "protocol": "paper (leaks)", **figures})
    return pd.DataFrame(rows)


def summary(tmp_path, **changes) -> str:
    known = survey()
    content = {
        "survey": known,
        "findings": FINDINGS,
        "screening": screen_elements(known.samples, known.deposits, ["Au"], radius=1500),
        "evaluation": evaluation(),
        "verdict": VERDICT,
        "targets": make_targets(
            score_map(), known.deposits, stack=make_stack(GRID), faults=known.faults, area_share=0.1
        ),
        "stack": make_stack(GRID),
        **changes,
    }
    content.setdefault("placed", placed_deposits(score_map(), known.deposits, content["targets"]))
    return write_summary(tmp_path / "summary.md", **content).read_text(encoding="utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text as rows of cells."""
    blocks: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            blocks[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def colours(path) -> int:
    image = imread(path)[:, :, :3]
    return len(np.unique((image * 255).astype(np.uint8).reshape(-1, 3), axis=0))


def test_the_summary_holds_the_verdict_and_the_counts(tmp_path):
    text = summary(tmp_path)
    assert f"\n- **{VERDICT[0]}**\n- {VERDICT[1]}\n" in text
    assert "**6 held-out deposits in 4 clusters.**" in text
    assert "those of **MFAF**" in text
    assert "those of **extra trees**" in summary(tmp_path, chosen="extra trees")
    assert "120 sampled places, 6 known deposits, 48 km2 in cells of 100 m (60 x 80)" in text
    assert "Gold (ppb); Copper (ppm); Geology" in text


def test_known_deposits_are_listed_with_what_the_map_says_of_them(tmp_path):
    known = survey()
    named = known.deposits.assign(Name=[f"mine {number}" for number in range(6)])
    targets = make_targets(score_map(), named, area_share=0.1)
    placed = placed_deposits(score_map(), named, targets)
    text = summary(tmp_path, targets=targets, placed=placed)
    listed = next(t for t in tables(text) if t[0][0] == "deposit")
    best = placed.sort_values("best_percent")
    assert [row[0] for row in listed[2:]] == best["Name"].tolist()
    assert [row[4] for row in listed[2:]] == [str(n) if n else "" for n in best["target"]]
    assert f"{int((placed['target'] > 0).sum())} of 6 lie in a target." in text


def test_a_map_that_is_not_better_than_chance_says_so_where_its_targets_are(tmp_path):
    weak = evaluation().assign(map_auc_low=0.48)
    assert UNSUPPORTED in summary(tmp_path, evaluation=weak).partition("## Targets")[2]
    assert UNSUPPORTED not in summary(tmp_path)
    known = survey()
    targets = make_targets(score_map(), known.deposits, area_share=0.1)
    maps = [
        imread(draw_scores(score_map(), targets, known, tmp_path / f"{flag}.png", supported=flag))
        for flag in (True, False)
    ]
    assert maps[0].shape != maps[1].shape or (maps[0] != maps[1]).any()


def test_elements_that_are_low_near_deposits_are_named(tmp_path):
    known = survey()
    near = known.samples.distance(known.deposits.union_all()) < 1500
    known.samples["Na"] = np.where(near, 1.0, 5.0) + np.random.default_rng(1).random(len(near))
    low = screen_elements(known.samples, known.deposits, ["Au", "Na"], radius=1500)
    assert "looks for enrichment: Na." in summary(tmp_path, screening=low)
    assert "looks for enrichment" not in summary(tmp_path)


def test_numbers_that_would_cover_others_are_left_out_and_named():
    def drawn(count: int) -> tuple[list[str], str]:
        square = shapely.box(0, 0, 100, 100)
        targets = gpd.GeoDataFrame(
            {"number": range(1, count + 1)}, geometry=[square] * count, crs=GRID.crs
        )
        axes = Figure().add_subplot()
        axes.set(xlim=(-5, 5), ylim=(-5, 5))
        said = _number_targets(axes, targets)
        return [text.get_text() for text in axes.texts], said

    assert drawn(4) == (["1", "2", "3", "4"], "")
    assert drawn(6) == (["1", "2", "3", "4"], "; no room for 5, 6")
    assert drawn(20)[1] == "; no room for 16 of them"


def test_the_summary_counts_targets_as_they_are(tmp_path):
    known = survey()
    targets = make_targets(score_map(), known.deposits, area_share=0.1)
    text = summary(tmp_path, targets=targets)
    count, sited = len(targets), int((targets["deposits"] > 0).sum())
    assert f"{count} targets on {targets['area_km2'].sum():,.1f} km2" in text
    assert f"{sited} with known deposits, {count - sited} new" in text
    listed = next(t for t in tables(text) if t[0][:2] == ["number", "status"])
    assert [row[0] for row in listed[2:]] == [str(n) for n in targets["number"].head(20)]


def test_every_table_of_the_summary_has_rows_of_one_length(tmp_path):
    found = tables(summary(tmp_path))
    assert len(found) == 6
    for table in found:
        assert len({len(row) for row in table}) == 1
        assert set(table[1]) == {"---"}


def test_what_was_done_to_the_data_is_told(tmp_path):
    findings = tables(summary(tmp_path))[-1]
    assert findings[2] == [
        "fixed",
        "samples",
        "Au/Ag",
        "zero values",
        "12",
        "read as half the limit",
    ]


def test_a_leaking_row_is_marked_and_has_no_map(tmp_path):
    assert "*leaks*" in summary(tmp_path)
    assert "leaks" not in summary(tmp_path, evaluation=evaluation(leaking=False))
    rows = map_rows(evaluation())
    assert rows["map AUC [95 %]"].tolist() == ["0.734 [0.512, 0.911]"]
    assert rows["in best 10 %"].tolist() == ["1.5 [0.0, 3.0]"]
    assert rows[["sd draws", "sd folds"]].to_numpy().tolist() == [["0.011", "-"]]
    windows = window_rows(evaluation())
    assert windows["protocol"].tolist() == ["spatial folds", "paper (leaks)"]
    assert windows["AUC"].tolist() == ["0.710"] * 2
    assert windows["windows (ore)"].tolist() == ["30 (6)"] * 2


def test_a_first_target_on_extrapolated_ground_is_flagged(tmp_path):
    targets = make_targets(score_map(), survey().deposits, area_share=0.1)
    assert "extrapolated ground" not in summary(tmp_path, targets=targets)
    text = summary(tmp_path, targets=targets.assign(extrapolated=0.8))
    assert "**Target 1 lies on extrapolated ground**" in text
    assert "80 %" in text


def test_the_curves_of_all_models_are_drawn(tmp_path):
    curves = pd.DataFrame({"MFAF": np.linspace(0, 1, 101) ** 0.3}, index=np.linspace(0, 1, 101))
    path = draw_curves(curves, evaluation(), tmp_path / "curves.png")
    other = draw_curves(
        curves * 0 + curves.index.to_numpy()[:, None], evaluation(), tmp_path / "chance.png"
    )
    assert (imread(path) != imread(other)).any(axis=2).sum() > 1000


def test_a_summary_without_targets_or_elements_still_reads(tmp_path):
    none = make_targets(score_map(), survey().deposits, threshold=2.0)
    text = summary(tmp_path, targets=none, screening=pd.DataFrame())
    assert "No ground is above the threshold." in text
    assert "No element could be screened" in text


def test_the_map_of_the_bands_is_not_blank(tmp_path):
    path = draw_stack(make_stack(GRID), tmp_path / "stack.png")
    assert colours(path) > 500
    flat = as_dataarray(np.ones((1, *GRID.shape)), GRID, [Band("Au", "element", "ppb")])
    assert colours(draw_stack(flat, tmp_path / "flat.png")) < colours(path)


def test_a_long_legend_and_nodata_can_be_drawn(tmp_path):
    legend = {number: f"unit {number}" for number in range(1, 30)}
    classes = np.random.default_rng(0).integers(1, 30, GRID.shape).astype(float)
    classes[:10] = np.nan
    stack = as_dataarray(classes[None], GRID, [Band("geology", "class", "", "Geology", legend)])
    assert colours(draw_stack(stack, tmp_path / "stack.png")) > 20


@pytest.mark.parametrize("faults", [True, False])
def test_the_score_map_is_not_blank_and_shows_its_targets(tmp_path, faults):
    scores, known = score_map(), survey(faults=faults)
    targets = make_targets(scores, known.deposits, area_share=0.1)
    path = draw_scores(scores, targets, known, tmp_path / "scores.png")
    assert colours(path) > 100
    bare = draw_scores(scores, targets[:0], known, tmp_path / "bare.png")
    assert (imread(path) != imread(bare)).any(axis=2).sum() > 1000


def test_a_deposit_is_drawn_where_it_lies(tmp_path):
    """Two maps that differ by one deposit in the north-west differ in the north-west of the picture
    only.
    """
    scores, here = score_map(), survey()
    images = []
    for row, col in ((5, 8), (6, 9)):
        moved = Survey(here.samples, points_in(GRID, [row], [col]), elements={})
        images.append(
            imread(
                draw_scores(
                    scores, make_targets(scores, moved.deposits)[:0], moved, tmp_path / f"{row}.png"
                )
            )
        )
    rows, cols = np.nonzero((images[0] != images[1]).any(axis=2))
    height, width = images[0].shape[:2]
    assert rows.max() < 0.35 * height
    assert cols.max() < 0.35 * width


def test_a_picture_is_not_overwritten_by_accident(tmp_path):
    draw_stack(make_stack(GRID), tmp_path / "stack.png")
    with pytest.raises(OutputExistsError):
        draw_stack(make_stack(GRID), tmp_path / "stack.png")
