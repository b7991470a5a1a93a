"""
Values that are alike along a direction
=======================================

Where dykes, faults or ice carried metal along an azimuth, a sample says more about the ground along it than across it.
``anisotropy=(ratio, azimuth)`` stretches distances; cross-validation says whether it helps.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)

figure, panels = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
for axes, anisotropy in zip(panels, [None, (3.0, 45.0)], strict=True):
    options = gm.IdwOptions(anisotropy=anisotropy)
    band = gm.idw_grid(survey.samples, ["Cu_ppm"], grid, scale="log", options=options)
    errors = gm.cross_validate_idw(survey.samples, ["Cu_ppm"], scale="log", options=options)
    print(anisotropy, errors.to_string(), sep="\n")
    band.sel(band="Cu_ppm").plot(ax=axes, robust=True, add_colorbar=False)
    axes.set(
        title="The same in every direction" if anisotropy is None else "3 times as far along 45°"
    )
plt.show()
