"""
A grid on a Dask cluster
========================

Blocks of a raster are computed on a cluster when its scheduler is named; the numbers are the same as on one machine. Here
the cluster is two threads of this process; yours is started with ``dask scheduler`` and ``dask worker``.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from distributed import LocalCluster

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)
folder = tempfile.mkdtemp()

threads = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
with LocalCluster(**threads, dashboard_address=None) as cluster:
    path = gm.idw_to_file(
        survey.samples,
        ["Au_ppb"],
        grid,
        f"{folder}/au.tif",
        scale="log",
        scheduler=cluster.scheduler_address,
    )
remote = gm.read_raster(path)
here = gm.idw_grid(survey.samples, ["Au_ppb"], grid, scale="log")
print("the same bits:", np.array_equal(remote.values, here.values, equal_nan=True))

figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
remote.sel(band="Au").plot(ax=axes, robust=True)
axes.set(title="Gold, gridded by a cluster")
plt.show()
