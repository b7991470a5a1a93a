"""
Grid an element and ask how good the grid is
============================================

Inverse-distance weighting turns samples into a map. Its errors are measured twice: leave-one-out, which asks for a value
between near neighbours, and spatial blocks, which ask for one on ground without samples. The second is the honest one.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)

band = gm.idw_grid(survey.samples, ["Au_ppb"], grid, scale="log", units={"Au_ppb": "ppb"})
errors = gm.cross_validate_idw(survey.samples, ["Au_ppb"], scale="log")
print(errors.to_string())

figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
band.sel(band="Au_ppb").plot(
    ax=axes, robust=True, cmap="viridis", cbar_kwargs={"label": "Au (ppb)"}
)
survey.samples.plot(ax=axes, color="black", markersize=1)
survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black", markersize=40)
axes.set(
    title="Gold by inverse-distance weighting of log10", xlabel="Easting (m)", ylabel="Northing (m)"
)
plt.show()
