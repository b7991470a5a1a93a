"""The report and the summary say what the files of the run say, in safe text, without a network."""

import base64
import html
import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from run_builder import (
    GRID,
    NASTY,
    VERDICT,
    class_stack,
    element_stack,
    evaluation,
    make_run,
    survey_layers,
    target_layers,
)

from geomfaf.deliver.layers import write_layers
from geomfaf.deliver.report.answers import UNSUPPORTED, five_answers
from geomfaf.deliver.report.map_layers import map_content
from geomfaf.deliver.report.pictures import hatch_image, index_image, leaflet_sources
from geomfaf.deliver.report.tables import map_rows, window_rows
from geomfaf.deliver.report.write import input_rows, write_report, write_summary
from geomfaf.deliver.run_folder import complete_targets, read_run
from geomfaf.errors import UsageError


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(out):
    return write_report(out).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(out):
    return write_summary(out).read_text(encoding="utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text as rows of cells."""
    blocks: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            blocks[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def content_of(page: str) -> dict:
    """What the map of a page draws."""
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.S)
    return json.loads(found.group(1))


def pixels(address: str) -> np.ndarray:
    """Red, green, blue, alpha of an image that stands inside a page."""
    raw = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(BytesIO(raw)).convert("RGBA"))


def test_targets_stand_before_statistics(text):
    places = [text.index(part) for part in ("## Exploration targets", "## Ground around")]
    places += [
        text.index(part) for part in ("## How far to trust it", "## Elements", "## What was")
    ]
    assert places == sorted(places)


def test_the_five_answers_are_those_of_the_run(out):
    answers = {question: " ".join(lines) for question, lines in five_answers(read_run(out))}
    assert "48 km² in cells of 100 m (60 x 80)" in answers["What was mapped?"]
    assert (
        "120 sampled places, 2 elements, 6 known deposits (Au 4, Cu 2)"
        in (answers["What was mapped?"])
    )
    assert answers["Can it be trusted?"] == VERDICT[0]
    assert "1 exploration target on 1.5 km² (3.2 % of the area)" in answers["Which targets?"]
    # Copper's loss is within its spread over the folds, and of geology there is no figure.
    assert "leans most on Au: shuffled among" in answers["Why these?"]
    assert "Target T1: Gold and copper are high beside a fault." in answers["Why these?"]
    # 10 % of the area holds 10 / 40 of the six deposits.
    assert (
        "10 % of the ground holds 2 of 6 held-out deposits (0 to 3, 95 % interval; 1 by chance):"
        " not surely more than ground picked at random would." in answers["What next?"]
    )
    assert "no sample lies inside: T1." in answers["What next?"]


def answers_of(folder: Path) -> dict[str, str]:
    return {question: " ".join(lines) for question, lines in five_answers(read_run(folder))}


@pytest.mark.parametrize(
    ("p", "moved", "doubted"), [(0.6, 199, True), (0.05, 199, False), (0.5, 4, False)]
)
def test_a_pattern_that_scores_as_well_elsewhere_is_said_at_once(tmp_path, p, moved, doubted):
    folder = make_run(tmp_path)
    path = folder / "evaluation.json"
    assessment = json.loads(path.read_text())
    assessment["null_tests"] = [{"model": "logistic regression", "p": p, "moved": [0.5] * moved}]
    path.write_text(json.dumps(assessment))
    said = answers_of(folder)["Can it be trusted?"]
    assert ("moved at random, scores as well too often (null test, p = 0.60)" in said) == doubted
    assert ("ideas to check, not results" in said) == doubted
    page = write_report(folder).read_text(encoding="utf-8")
    assert page.count("scores as well too often") == 2 * doubted


@pytest.mark.parametrize(("low", "sure"), [(0.11, True), (0.10, False), (0.0, False)])
def test_ground_no_better_than_chance_is_no_place_to_begin(tmp_path, low, sure):
    folder = make_run(tmp_path)
    path = folder / "evaluation.csv"
    table = pd.read_csv(path)
    table["capture_10_low"] = low
    table.to_csv(path, index=False)
    said = answers_of(folder)["What next?"]
    assert ("begin there" in said) == sure
    assert ("not surely more than ground picked at random" in said) != sure


def test_page_and_summary_tell_the_same(page, text):
    shown = html.unescape(re.sub(r"<[^>]+>", "", page.partition("<main>")[2]))
    shown = shown.replace("\u00a0", " ")  # a number and its % stay on one line
    for line in (VERDICT[0], VERDICT[1], "2 of 6 held-out deposits", "0.734 [0.512, 0.911]"):
        assert line in shown
        assert line in text
    for figure in ("1.54", "0.70", "Au 98 %, Cu 95 %", "1,234"):
        assert figure in shown
        assert figure in text


def test_every_row_leads_to_its_sheet(page):
    rows = re.findall(r'<tr data-sheet="([^"]+)"', page)
    assert rows == ["target-1", "target-2"]
    for sheet in rows:
        assert f'id="{sheet}"' in page
        assert f'href="#{sheet}"' in page
    assert [target["sheet"] for target in content_of(page)["targets"]] == rows


def test_a_sheet_holds_the_facts_and_leaves_out_what_is_not_known(page):
    first, second = re.findall(r'<article class="sheet".*?</article>', page, re.S)
    for fact in ("Au 12.5 ppb, S00348", "none; the nearest is 321 m away", "25 % of it"):
        assert fact in first
    assert "Best samples" not in second
    assert "1 inside" in second


def test_the_page_asks_for_nothing_outside(page):
    assert "default-src 'none'; img-src data:" in page
    # Scripts hold texts that look like addresses; the browser's own test sees that none is asked.
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    sources = re.findall(r'(?:src|href|action|poster|srcset)="([^"]*)"', markup)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert all(
        a.startswith("data:") for a in re.findall(r"url\(([^)]*)\)", page.partition("<body")[0])
    )
    assert "@import" not in page
    assert "sourceMappingURL" not in page


def test_the_page_keeps_leaflets_licence(page):
    assert "BSD-2-Clause" in page
    style, script = leaflet_sources()
    assert "Leaflet 1.9.4" in script
    assert style.count("data:image/png") == 2


def test_the_page_is_small_enough_to_send(page):
    assert len(page.encode()) < 5_000_000


def test_hashes_are_told_and_folders_are_not(page, text, out):
    assert "survey.gpkg" in page
    assert "abcabcabcabcabca" in page
    assert "/home/me" not in page + text
    run = read_run(out, {"inputs": {"samples": {"path": "postgresql://me@host/base"}}})
    assert input_rows(run)["file"].tolist() == ["postgresql://me@host/base"]


def test_names_of_the_user_are_text_and_never_markup(tmp_path):
    legend = {number: f"{NASTY} {number}" for number in range(1, 301)}
    names = [NASTY, "a|b", "'", '"', "</script>", "plain"]
    out = make_run(
        tmp_path, stack=class_stack(legend), deposit_names=names, title=NASTY, area=NASTY
    )
    page = write_report(out).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    # Only the page's own three scripts, and each of them is closed once.
    assert page.count("<script") == page.count("</script>") == 3
    content = content_of(page)
    assert [deposit["name"] for deposit in content["deposits"]] == names
    rocks = next(image for image in content["images"] if image["name"] == "Geology (rock)")
    assert len(rocks["legend"]) == 41
    assert rocks["legend"][-1][0] == "and 260 smaller classes"
    text = write_summary(out).read_text(encoding="utf-8")
    assert "<script>" not in text.replace("\\<script>", "")
    assert len({len(row) for row in tables(text)[2]}) == 1


@pytest.mark.parametrize(
    ("layers", "stack"),
    [
        ((), None),
        (("samples", "study_area"), element_stack()),
        (("geology",), class_stack({1: "granite", 2: "shale"})),
    ],
    ids=["no survey", "one element, no geology, no faults", "geology alone"],
)
def test_a_run_that_lacks_layers_has_its_report(tmp_path, layers, stack):
    out = make_run(tmp_path, layers=layers, stack=stack)
    page = write_report(out).read_text(encoding="utf-8")
    content = content_of(page)
    assert len(content["targets"]) == 2
    assert bool(content["samples"]) == ("samples" in layers)
    assert content["faults"] == []
    assert ("no geological map" in page) == (len(layers) == 2)


def test_a_run_without_targets_or_figures_has_its_report(tmp_path):
    out = make_run(tmp_path)
    empty = {name: frame[:0] for name, frame in target_layers().items()}
    write_layers(empty, out / "targets.gpkg", overwrite=True)
    for name in ("evaluation.csv", "evaluation.json", "curves.csv", "factors.csv", "check.csv"):
        (out / name).unlink()
    (out / "screen.csv").write_text("\n")
    page = write_report(out).read_text(encoding="utf-8")
    assert "No ground is above the threshold." in page
    assert "not judged on held-out ground" in page
    text = write_summary(out).read_text(encoding="utf-8")
    assert "No element could be screened" in text


def test_targets_of_an_older_run_are_completed(tmp_path):
    new = target_layers()["targets"]
    old = new[["number", "status", "area_km2", "geology", "x", "y", "geometry"]]
    found = complete_targets(old)
    assert found["list"].tolist() == ["exploration", "known ground"]
    assert found["name"].tolist() == ["1", "2"]
    assert found["why"].tolist() == ["", ""]
    assert found["heldout_score"].isna().all()
    back = new.set_geometry(new.geometry.from_xy(found["lon"], found["lat"], crs=4326))
    moved = back.to_crs(GRID.crs).geometry
    assert np.allclose(np.c_[moved.x, moved.y], found[["x", "y"]], atol=0.01)


def test_a_map_no_better_than_chance_says_so_where_its_targets_are(tmp_path, text):
    out = make_run(tmp_path)
    evaluation(low=0.48).to_csv(out / "evaluation.csv", index=False)
    weak = write_summary(out).read_text(encoding="utf-8")
    assert UNSUPPORTED in weak.partition("## Exploration targets")[0]
    assert UNSUPPORTED in html.unescape(write_report(out).read_text(encoding="utf-8"))
    assert UNSUPPORTED not in text


def test_known_deposits_are_listed_with_what_the_map_says_of_them(text):
    listed = next(table for table in tables(text) if table[0][0] == "deposit")
    assert [row[0] for row in listed[2:]] == [f"mine {number}" for number in range(6)]
    assert [row[4] for row in listed[2:]] == ["K1", "", "", "", "", ""]
    assert "1 of 6 lie in a target." in text


def test_every_table_of_the_summary_has_rows_of_one_length(text):
    found = tables(text)
    assert len(found) == 8
    for table in found:
        assert len({len(row) for row in table}) == 1
        assert set(table[1]) == {"---"}


def test_what_was_done_to_the_data_is_told(text):
    done = tables(text)[-1][2]
    assert done[2:] == ["Au/Ag", "zero values", "12", "read as half the limit <0.05"]


def test_elements_that_are_low_near_deposits_are_named(text):
    assert "looks for enrichment: Na." in text


def test_a_leaking_row_is_marked_and_has_no_map(text):
    assert "*leaks*" in text
    rows = map_rows(evaluation())
    assert rows["map AUC [95 %]"].tolist() == ["0.734 [0.512, 0.911]"]
    assert rows["in best 10 %"].tolist() == ["1.5 [0.0, 3.0]"]
    assert rows[["sd draws", "sd folds"]].to_numpy().tolist() == [["0.011", "-"]]
    windows = window_rows(evaluation())
    assert windows["protocol"].tolist() == ["spatial folds", "paper (leaks)"]
    assert windows["AUC"].tolist() == ["0.710"] * 2
    assert windows["windows (ore)"].tolist() == ["30 (6)"] * 2


def test_the_map_lies_where_the_grid_does(out):
    run = read_run(out)
    content = map_content(run)
    assert content["bounds"] == list(GRID.bounds)
    ring = np.array(content["targets"][0]["rings"][0][0])
    assert ring.min(axis=0).tolist() == list(run.targets.geometry[0].bounds[:2])
    assert ring.max(axis=0).tolist() == list(run.targets.geometry[0].bounds[2:])
    points = np.array([sample["at"] for sample in content["samples"]])
    samples = survey_layers()["samples"].geometry
    assert np.allclose(points, np.c_[samples.x, samples.y], atol=0.06)


def test_the_best_ground_of_the_image_is_that_of_the_scores(out):
    run = read_run(out)
    picture = pixels(map_content(run)["images"][0]["address"])
    score = run.scores.sel(band="score").values
    best = score >= np.sort(score.ravel())[-round(score.size / 100)]
    assert picture.shape[:2] == GRID.shape
    assert (picture[best][:, :3] == [0x67, 0x00, 0x0D]).all()
    assert not (picture[~best][:, :3] == [0x67, 0x00, 0x0D]).all(axis=1).any()
    # Beyond the best fifth nothing is drawn.
    assert (picture[..., 3] == 0).mean() == pytest.approx(0.8, abs=0.01)


def test_an_image_of_numbers_has_their_colours():
    index = np.array([[0, 1], [np.nan, 1]])
    picture = pixels(index_image(index, [(255, 0, 0, 255), (0, 0, 255, 128)]))
    assert picture[0].tolist() == [[255, 0, 0, 255], [0, 0, 255, 128]]
    assert picture[1, 0, 3] == 0
    wide = pixels(index_image(np.zeros((3, 2500)), [(1, 2, 3, 255)]))
    assert wide.shape[1] <= 1000


def test_the_hatched_image_stays_on_its_ground():
    mask = np.zeros((50, 50), bool)
    mask[10:30, 20:40] = True
    drawn = pixels(hatch_image(mask))[..., 3] > 0
    assert drawn[mask].any()
    assert not drawn[mask].all()
    assert not drawn[~mask].any()


def test_a_folder_without_a_map_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no scores\.tif"):
        read_run(tmp_path)


def test_a_name_that_reads_like_nothing_stays_a_name(tmp_path, out):
    pd.DataFrame({"factor": ["NA", None], "permutation": [0.5, None]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    run = replace(read_run(out), path=tmp_path)
    table = run.table("t.csv")
    assert table["factor"].tolist() == ["NA", ""]
    assert np.isnan(table["permutation"][1])
    assert not len(run.table("missing.csv"))
