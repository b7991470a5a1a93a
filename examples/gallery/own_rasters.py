"""
Rasters of your own
===================

Magnetics, gravity or a DEM of any grid and CRS become bands of the stack, with what is derived from them. Here the field is
made up and written with pixels of 250 m in degrees; ``RasterSource`` brings it onto the cells of the survey.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)

coarse = gm.survey_grid(survey, cell=250)
x, y = np.meshgrid(coarse.x - coarse.x.mean(), coarse.y - coarse.y.mean())
field = 50_000 + 120 * np.exp(-np.hypot(x - 3000, y) / 2000) - 80 * np.exp(-np.abs(x + y) / 900)
template = gm.build_stack(survey, coarse, elements=["Au_ppb"])
magnetics = template.isel(band=[0]).copy(data=field[None].astype(np.float32))
path = gm.write_raster(magnetics.rio.reproject("EPSG:4326"), f"{tempfile.mkdtemp()}/tmi.tif")

source = gm.RasterSource(path, "magnetics", unit="nT", derive=["slope"])
stack = gm.build_stack(survey, grid, elements=["Au_ppb"], rasters=[source])
names = [str(name) for name in stack["band"].values if str(name).startswith("magnetics")]
print(names, stack.attrs["making"], sep="\n")

figure, panels = plt.subplots(1, len(names), figsize=(10, 4.5), layout="constrained", sharey=True)
for axes, name in zip(panels, names, strict=True):
    stack.sel(band=name).plot(ax=axes, robust=True)
    axes.set(title=str(stack.sel(band=name)["description"].item()))
plt.show()
