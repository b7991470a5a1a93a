"""Figures for print: everything where it lies, nothing covers anything, the same figure twice."""

import numpy as np
import pytest
from builders import make_grid, points_in
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from run_builder import GRID, NASTY, class_stack, element_stack, evaluation, make_run, target_layers

from geomfaf.deliver.figures.area_shares import area_classes
from geomfaf.deliver.figures.evidence import draw_evidence
from geomfaf.deliver.figures.labels import place_labels
from geomfaf.deliver.figures.map_sheet import map_sheet
from geomfaf.deliver.figures.run_figures import FIGURES, draw_figures, draw_overview
from geomfaf.deliver.layers import write_layers
from geomfaf.deliver.run_folder import read_run
from geomfaf.errors import OutputExistsError, UsageError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(make_run(tmp_path_factory.mktemp("figures")))


def image_of(figure: Figure) -> np.ndarray:
    """Red, green, blue of a figure at a low resolution."""
    figure.set_dpi(50)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def colours(image: np.ndarray) -> int:
    return len(np.unique(image.reshape(-1, 3), axis=0))


def test_no_label_covers_a_symbol_or_another_label():
    """The boxes that matplotlib itself measures are apart, in a crowd where not all have room."""
    figure = Figure(figsize=(4, 4))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(0, 10))
    places = np.random.default_rng(0).uniform(0.5, 9.5, (90, 2))
    texts = [f"deposit {number}" for number in range(90)]
    omitted = place_labels(axes, places, texts)
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert 0 < len(omitted) < 70
    assert len(boxes) + len(omitted) == 90
    symbols = axes.transData.transform(places)
    frame = axes.get_window_extent()
    for number, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert not any(box.contains(x, y) for x, y in symbols)
        assert not any(_share_ground(box, other) for other in boxes[:number])


def _share_ground(one, other) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width > 0.5 and height > 0.5


def test_a_label_alone_stands_right_of_its_symbol():
    sheet = map_sheet(make_grid(50, 50), "t")
    west, south, east, north = make_grid(50, 50).bounds
    middle = np.array([[(west + east) / 2, (south + north) / 2]])
    assert place_labels(sheet.axes, middle, ["mine"]) == []
    box = sheet.axes.texts[-1].get_window_extent(sheet.figure.canvas.get_renderer())
    at = sheet.axes.transData.transform(middle[0])
    assert at[0] < box.x0 < at[0] + 15
    assert box.y0 < at[1] < box.y1


def test_a_place_outside_the_map_has_no_label():
    sheet = map_sheet(make_grid(50, 50), "t")
    before = len(sheet.axes.texts)
    assert place_labels(sheet.axes, np.array([[0.0, 0.0]]), ["far"]) == []
    assert len(sheet.axes.texts) == before


def test_classes_of_area_hold_their_share():
    score = np.random.default_rng(1).permutation(2000.0 * np.arange(1, 2001)).reshape(40, 50)
    classes = area_classes(score)
    for number, share in enumerate((0.01, 0.02, 0.05, 0.10, 0.20)):
        limit = np.quantile(score, 1 - share)
        assert np.array_equal(classes <= number, score > limit)


@pytest.mark.parametrize("share", [0.3, 0.03])
def test_ground_that_ties_is_not_better_than_itself(share):
    score = np.zeros((100, 100))
    score[: int(100 * share)] = 1.0
    classes = area_classes(score)
    assert len(np.unique(classes[score == 1])) == 1
    assert (classes <= 2).mean() <= 0.05


def test_the_scale_bar_is_as_long_as_it_says():
    sheet = map_sheet(GRID, "t")
    bar = next(artist for artist in sheet.panel.artists if hasattr(artist, "size_bar"))
    length = bar.size_bar.get_children()[0].get_width()
    west, _, east, _ = GRID.bounds
    assert length == 1000
    assert 0.1 < length / (east - west) < 0.21
    assert bar.txt_label.get_text() == "1 km"


@pytest.mark.parametrize("name", list(FIGURES))
def test_every_figure_is_written_and_shows_something(run, tmp_path, name):
    made = draw_figures(run, [name], folder=tmp_path)
    assert [path.name for path in made] == [f"{name}.png", f"{name}.svg"]
    assert colours((imread(made[0])[..., :3] * 255).astype(int)) > 30
    drawing = made[1].read_text(encoding="utf-8")
    assert "<svg" in drawing
    again = draw_figures(run, [name], folder=tmp_path / "again", formats=["svg"])
    assert again[0].read_text(encoding="utf-8") == drawing
    with pytest.raises(OutputExistsError):
        draw_figures(run, [name], folder=tmp_path, formats=["png"])


def test_names_and_numbers_stand_on_the_target_map(run):
    figure = FIGURES["targets"](run)
    axes, panel = figure.axes
    named = {text.get_text() for text in axes.texts}
    assert {"T1", "K1", "mine 3"} <= named
    entries = [text.get_text() for text in panel.get_legend().get_texts()]
    assert "exploration target (1)" in entries
    assert "ground around known deposits (1)" in entries
    assert any("extrapolated" in entry for entry in entries)


def test_a_deposit_is_drawn_where_it_lies(run, tmp_path):
    """Two maps that differ by one deposit in the north-west differ in that part only."""
    out = make_run(tmp_path)
    images = []
    for row, col in ((6, 8), (7, 9)):
        layers = target_layers()
        layers["deposits"] = points_in(GRID, [row], [col]).assign(target=0)
        write_layers(layers, out / "targets.gpkg", overwrite=True)
        images.append(image_of(FIGURES["geology"](read_run(out))))
    rows, cols = np.nonzero((images[0] != images[1]).any(axis=2))
    height, width = images[0].shape[:2]
    assert rows.max() < 0.35 * height
    assert cols.max() < 0.35 * width


def test_extrapolated_ground_is_hatched_where_it_lies(run, tmp_path):
    images = []
    for hide in (False, True):
        scores = run.scores.copy()
        if hide:
            scores.values[-1] = 1
        shown = read_run(run.path)
        shown.__dict__["scores"] = scores
        images.append(image_of(FIGURES["targets"](shown)))
    wide = images[0].shape[1]
    changed = (images[0] != images[1]).any(axis=2)
    # The legend's own entry is right of the map.
    _, cols = np.nonzero(changed[:, : int(0.6 * wide)])
    assert len(cols) > 20
    assert cols.max() < 0.2 * wide


def test_a_map_no_better_than_chance_says_so_in_its_title(tmp_path):
    out = make_run(tmp_path)
    sure = FIGURES["targets"](read_run(out)).axes[0].get_title(loc="left")
    evaluation(low=0.48).to_csv(out / "evaluation.csv", index=False)
    weak = FIGURES["targets"](read_run(out)).axes[0].get_title(loc="left")
    assert weak.startswith(sure)
    assert "do not show" in weak
    assert "do not show" not in sure


@pytest.mark.parametrize("case", ["300 rocks", "one element", "nothing"])
def test_figures_bear_what_a_run_lacks(tmp_path, case):
    legend = {number: f"{NASTY} {number}" for number in range(1, 301)}
    stack = {"300 rocks": class_stack(legend), "one element": element_stack(), "nothing": None}
    out = make_run(tmp_path, layers=(), stack=stack[case], deposit_names=[NASTY] * 6, title=NASTY)
    if case == "nothing":
        empty = {name: frame[:0] for name, frame in target_layers().items()}
        write_layers(empty, out / "targets.gpkg", overwrite=True)
    for name in ("geology", "evidence", "targets", "cells"):
        assert colours(image_of(FIGURES[name](read_run(out)))) > 5


def test_a_band_without_contrast_can_be_drawn():
    flat = element_stack()
    flat[:] = 1.0
    assert colours(image_of(draw_evidence(flat))) < colours(
        image_of(draw_evidence(element_stack()))
    )
    flat[:] = np.nan
    assert image_of(draw_evidence(flat)).size


def test_the_overview_of_a_run_is_three_pictures(tmp_path):
    out = make_run(tmp_path)
    draw_overview(read_run(out))
    assert sorted(path.name for path in out.glob("*.png")) == [
        "curves.png",
        "scores.png",
        "stack.png",
    ]


def test_an_unknown_figure_names_the_nearest(run, tmp_path):
    with pytest.raises(UsageError, match='Did you mean "targets"'):
        draw_figures(run, ["target"], folder=tmp_path)
