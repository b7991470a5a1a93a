"""What a run settles between its stages."""

import numpy as np
from builders import make_grid, make_stack

from geomfaf.models.baselines import make_baseline
from geomfaf.rasters.bands import Band, as_dataarray, bands_of, with_making
from geomfaf.run.steps import bands_in_folds
from geomfaf.windows.features import window_features


def test_bands_of_a_fold_stand_in_the_order_of_the_stack():
    """A band of the user's own stands behind the map's; rows cut for one fold have the columns that
    the features of all ground have, so that a model of the ones judges the others.
    """
    grid = make_grid(30, 30)
    first = make_stack(grid, 1)
    field = np.random.default_rng(0).normal(size=(1, *grid.shape))
    bands = [*bands_of(first), Band("magnetics", "continuous", "nT")]
    stack = as_dataarray(np.concatenate([first.values, field]), grid, bands)
    stack = with_making(stack, {"magnetics": {"screened": "yes"}})
    both, none = bands_in_folds(stack, [["Cu", "magnetics"], []])
    assert both == ["Cu", "geology", "fault_distance", "magnetics"]
    assert none == ["geology", "fault_distance"]
    rows, cols = np.indices(grid.shape).reshape(2, -1)
    ground = window_features(stack, rows, cols, 4)
    own = window_features(stack.sel(band=both), rows[::7], cols[::7], 4)
    model = make_baseline("logistic regression").fit(own, np.arange(len(own)) % 2)
    assert len(model.predict_proba(ground.select(bands=both))) == grid.size
