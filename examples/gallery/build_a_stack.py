"""
The stack: every band of evidence on one grid
=============================================

Elements, the rocks and the distance to faults become bands of one ``xarray.DataArray``, each with its unit, kind and legend.
It is written as a GeoTIFF that QGIS opens with names and units.
"""

import tempfile

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)
stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
for band in stack["band"].values:
    layer = stack.sel(band=band)
    print(f"{band}: {layer['kind'].item()}, {layer['unit'].item() or 'no unit'}")
gm.write_raster(stack, f"{tempfile.mkdtemp()}/stack.tif")

figure, panels = plt.subplots(1, stack.sizes["band"], figsize=(15, 3.6), layout="constrained")
for axes, band in zip(panels, stack["band"].values, strict=True):
    stack.sel(band=band).plot(ax=axes, robust=True, add_colorbar=False)
    axes.set(title=str(stack.sel(band=band)["description"].item()), xlabel="", ylabel="")
    axes.set_aspect("equal")
plt.show()
