"""
Faults that no sample sees across
=================================

Where a fault moved the ground, a sample behind it says nothing of this side. ``barriers`` takes lines that values do not
cross; cross-validation says whether that helps here.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=200)

figure, panels = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
for axes, barriers in zip(panels, [None, survey.faults], strict=True):
    options = gm.IdwOptions(barriers=barriers)
    band = gm.idw_grid(survey.samples, ["Cu_ppm"], grid, scale="log", options=options)
    errors = gm.cross_validate_idw(survey.samples, ["Cu_ppm"], scale="log", options=options)
    title = "Across faults" if barriers is None else "Not across faults"
    print(title, errors.to_string(), sep="\n")
    band.sel(band="Cu").plot(ax=axes, robust=True, add_colorbar=False)
    survey.faults.plot(ax=axes, color="black", linewidth=0.7)
    axes.set(title=title)
plt.show()
