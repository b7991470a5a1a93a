"""
A target and the reasons for it
===============================

A target says what is high on it, on which rock it lies, which fault and which known deposit are near, and what it scores on
ground the model never saw. Here is the sheet of the first one, from a map of logistic regression, which takes seconds.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)
stack = gm.build_stack(survey, grid, elements=["Ag_ppb", "Au_ppb", "Cu_ppm", "Zn_ppm"])
windows, folds = gm.make_windows(stack, survey.deposits)
scores = gm.predict_baseline("logistic regression", stack, windows, folds)
targets = gm.make_targets(
    scores, survey.deposits, stack=stack, samples=survey.samples, faults=survey.faults
)

first = targets.iloc[0]
print(f"Target {first['name']} ({first['status']}): {first['why']}")
facts = ["area_km2", "mean_score", "heldout_score", "extrapolated", "samples", "best_samples"]
print(first[[*facts, "rocks", "fault", "fault_distance_m", "lon", "lat"]].to_string())

# %%
# The ground around it: held-out score, and the element that is highest there.
west, south, east, north = first.geometry.buffer(1500).bounds
symbol = first["best_samples"].split()[0]
around = {"x": slice(west, east), "y": slice(north, south)}
figure, panels = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained", sharey=True)
for axes, band in zip(
    panels, [scores.sel(band="heldout_score"), stack.sel(band=symbol)], strict=True
):
    band.sel(around).plot(ax=axes, robust=True)
    targets.iloc[[0]].boundary.plot(ax=axes, color="white")
    survey.faults.plot(ax=axes, color="black", linewidth=0.8)
    survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black")
    axes.set(
        xlim=(west, east), ylim=(south, north), title=f"{first['name']}: {band['band'].item()}"
    )
survey.samples.plot(ax=panels[1], color="black", markersize=4)
plt.show()
