"""The leak test of whole runs, in a file of its own: the longest file decides how long the suite takes."""

import pandas as pd
import pytest
from projects import prepare

from geomfaf.run.run import run_project
from geomfaf.synthetic import make_survey

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_trees")]


def test_random_deposits_give_no_skill(tmp_path):
    """The leak test: deposits that follow nothing cannot be found on ground that was not learned
    from. Many surveys, without the run around them, are judged in tests/evaluation.
    """
    survey, _ = make_survey("small", seed=0, random_deposits=True)
    run_project(prepare(tmp_path, survey, cell=200))
    table = pd.read_csv(tmp_path / "out" / "evaluation.csv").set_index("model")
    assert (table["map_auc_low"] < 0.5).all(), table
    assert table.loc["MFAF", "map_auc_high"] > 0.5
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "not show that the map of MFAF ensemble is better than chance" in summary
