"""Windows and folds go in; scikit-learn's train and test rows come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import geopandas as gpd
import numpy as np

from ..errors import UsageError
from .folds import Folds


class FoldSplitter:
    """Our folds for scikit-learn: the ``cv`` of ``cross_val_score``, ``GridSearchCV`` and others.

    No training window shares a cell with a test window, see :meth:`geomfaf.windows.folds.Folds.training`;
    windows that lie between are in neither part.

    Parameters
    ----------
    folds : Folds
    windows : GeoDataFrame
        Labelled windows; row i of the features is window i.

    Raises
    ------
    UsageError
        When ``split`` is given another number of rows than there are windows.

    Examples
    --------
    >>> import geomfaf as gm
    >>> from sklearn.ensemble import ExtraTreesClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> stack = gm.build_stack(survey, gm.survey_grid(survey, cell=200), elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> x, y = gm.window_arrays(stack, windows)
    >>> folds_of = gm.FoldSplitter(folds, windows)
    >>> model = ExtraTreesClassifier(50, random_state=0)
    >>> scores = cross_val_score(model, x.mean(axis=(2, 3)), y, cv=folds_of, scoring="roc_auc")
    >>> len(scores) == folds_of.get_n_splits() == folds.count
    True
    """

    def __init__(self, folds: Folds, windows: gpd.GeoDataFrame) -> None:
        self.folds = folds
        self.windows = windows

    def split(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows that train and those that test, fold by fold.

        Raises
        ------
        UsageError
            When there are not as many rows as windows.
        """
        if X is not None and len(X) != len(self.windows):
            raise UsageError(
                f"{len(X)} rows are not the {len(self.windows)} windows that the folds were cut"
                " for: give one row a window, in their order."
            )
        for fold in range(self.folds.count):
            train = self.folds.training(self.windows, fold)
            test = self.folds.testing(self.windows, fold)
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return self.folds.count
