"""What results show of themselves: short texts everywhere, tables and a small map in notebooks."""

import base64
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from builders import small_case, small_model, small_scores
from PIL import Image

from geomfaf import progress
from geomfaf.errors import UsageError
from geomfaf.evaluation.evaluate import evaluate_model
from geomfaf.evaluation.held_out import Draw
from geomfaf.evaluation.run_evaluation import Assessment
from geomfaf.models.fold_models import window_rows
from geomfaf.notebook import ROWS, table
from geomfaf.survey.cleaning.findings import Finding
from geomfaf.synthetic import make_survey


@pytest.fixture(scope="module")
def evaluation():
    case = small_case()
    model = small_model()
    return evaluate_model(
        model,
        case.stack,
        [Draw(case.windows, model.seed)],
        case.deposits,
        small_scores(),
        baselines=["best band"],
    )


def picture_of(html: str) -> np.ndarray:
    """The pixels of the map in a piece of HTML."""
    code = re.search(r'src="data:image/png;base64,([^"]+)"', html).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGB"))


def test_no_result_fills_the_screen(evaluation):
    case = small_case()
    survey = make_survey("small")[0]
    rows = window_rows(case.stack, case.windows, ["Au", "Cu"])
    assessed = Assessment(evaluation, pd.DataFrame(), None, evaluation.verdict)
    results = [small_model(), small_model().fold_models[0], case.folds, survey, rows]
    for result in [*results, evaluation, evaluation.draws[0], assessed]:
        assert 10 < len(repr(result)) < 400, type(result).__name__
    assert "3 folds" in repr(small_model())
    assert "FoldModel of fold 1" in repr(small_model().fold_models[0])
    assert f"{len(survey.samples):,} samples" in repr(survey)


def test_a_survey_shows_layers_elements_findings_and_a_map():
    from dataclasses import replace

    survey = make_survey("small")[0]
    finding = Finding("noticed", "samples", "Au_ppb", "units <guessed>", 3, "read as ppb")
    html = replace(survey, findings=(finding,))._repr_html_()
    for words in ("deposits", f"<td>{len(survey.samples)}</td>", "Au_ppb (ppb)"):
        assert words in html
    assert "units &lt;guessed&gt;" in html
    pixels = picture_of(html)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 60) & (pixels[..., 2] < 70)
    assert red.any()  # deposits


def test_an_evaluation_shows_verdict_table_and_held_out_map(evaluation):
    html = evaluation._repr_html_()
    assert evaluation.verdict[0].replace("'", "&#x27;") in html
    assert "best band" in html
    assert f"{evaluation.table['map_auc'].iloc[0]:.3g}" in html
    assert np.unique(picture_of(html).reshape(-1, 3), axis=0).shape[0] > 50
    assessed = Assessment(evaluation, pd.DataFrame(), None, ["All in all it is so."])
    assert "All in all it is so." in assessed._repr_html_()


def test_long_tables_are_cut_and_say_so():
    html = table(pd.DataFrame({"a": range(ROWS + 5)}))
    assert "and 5 rows more" in html
    assert html.count("<tr") == ROWS + 1


def run_in_terminal(code: str) -> str:
    """What a script shows on a terminal."""
    import os
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=follower, stdout=follower)
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    process.wait()
    os.close(leader)
    return shown.decode()


LOOP = """
import time
from geomfaf.progress import track
for _ in track(range(3), "training", unit="folds"): time.sleep(0.15)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_script_shows_bars_on_a_terminal_and_nothing_in_a_file():
    assert "training" in run_in_terminal(LOOP)
    quiet = subprocess.run([sys.executable, "-c", LOOP], capture_output=True, text=True, check=True)
    assert quiet.stderr == ""


def test_a_notebook_hears_of_long_loops_alone(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_style", "")
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    clock = iter([0.0, 0.5, 1.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.track("ab", "short")) == ["a", "b"]
    clock = iter([0.0, 6.0, 12.0])
    assert list(progress.track("ab", "training", unit="folds")) == ["a", "b"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["training:  50 %", "training: 100 %"]


def test_an_unknown_style_is_refused():
    with pytest.raises(UsageError, match='style of progress "loud" is unknown'):
        progress.show_progress("loud")
