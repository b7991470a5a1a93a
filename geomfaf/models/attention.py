"""What a trained model looks at: the channel-attention weight of every factor, by branch."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
import xarray as xr

from ..rasters.reader import RasterReader
from ..windows.folds import fold_number
from .fold_models import Model, encode_windows
from .network.classifier import seen_part
from .network.mfaf import Branch

COLUMNS = ["fold", "branch", "dilation", "factor", "weight", "spread", "windows"]


def factor_attention(
    model: Model, stack: xr.DataArray | RasterReader, windows: gpd.GeoDataFrame
) -> pd.DataFrame:
    """Return the mean channel-attention weight of every factor in every branch of every fold model.

    The dilated convolutions are grouped by channel, so a weight of equation (7) belongs to one
    factor. The classes of a class band have a channel each; their weights are averaged over the
    windows and classes, each class counted by the ground that it covers in the windows: the band's
    weight is that of the class a cell is likely to have.

    A weight says how much of a factor a branch lets through (0: nothing, 1: all), not which way it
    points, and not what the score would be without it.

    Parameters
    ----------
    model : Model
        See :func:`geomfaf.train_model`.
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`.
    windows : GeoDataFrame
        Each fold model is shown the windows of its own fold, which it never learned from.

    Returns
    -------
    DataFrame
        fold and branch (from 1), dilation (cells), factor (band), weight (mean over the windows),
        spread (standard deviation over the windows), windows (how many). Empty for a model without
        channel attention.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> model = gm.train_model(stack, windows, folds, options=options)
    >>> gm.factor_attention(model, stack, windows)["factor"].unique().tolist()
    ['Au_ppb', 'Cu_ppm', 'geology', 'fault_distance']
    """
    fold_of = model.folds.of_windows(windows)
    rows = []
    for fold_model in model.fold_models:
        own = windows[fold_of == fold_model.fold]
        if not len(own):
            continue
        # 1. what the network sees of the fold's windows
        channels = fold_model.encoder.channels
        names = list(dict.fromkeys(channel.band for channel in channels))
        net = fold_model.classifier.net_
        encoded = encode_windows(stack, own, names, fold_model.encoder)
        encoded = seen_part(encoded, fold_model.classifier.training)
        x = torch.from_numpy(np.ascontiguousarray(encoded)).to(next(net.parameters()).device)
        # 2. how much each channel counts in its band: a class by the ground that it covers
        cover = x.mean(dim=(0, 2, 3)).tolist()
        shares = []
        for channel, share in zip(channels, cover, strict=True):
            shares.append(max(share, 1e-9) if channel.kind == "class" else 1.0)
        # 3. the weights of every branch, band by band
        for number, branch in enumerate(net.branches, start=1):
            if not isinstance(branch, Branch) or branch.attention is None:
                continue
            with torch.inference_mode():
                weights = branch.attention(branch.filtered(x)).cpu().numpy()
            row = {
                "fold": fold_number(fold_model.fold),
                "branch": number,
                "dilation": branch.conv.dilation[0],
            }
            for name in names:
                mine = [at for at, channel in enumerate(channels) if channel.band == name]
                total = sum(shares[at] for at in mine)
                factor = sum(weights[:, at] * shares[at] for at in mine) / total
                found = {
                    "weight": float(factor.mean()),
                    "spread": float(factor.std()),
                    "windows": len(own),
                }
                rows.append(
                    {
                        **row,
                        "factor": name,
                        **found,
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)
