"""
Folds, and the leak that they prevent
=====================================

Windows overlap and neighbours are alike. If some of them train and others test, the test is no test. Spatial folds give each
block of ground, with a margin around it, to one test alone; ``prove_leak_free`` fails where a training window reaches into it.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)
stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
windows, folds = gm.make_windows(stack, survey.deposits)
print(gm.prove_leak_free(windows, folds).to_string())

figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
folds.blocks().plot(ax=axes, column="fold", categorical=True, alpha=0.35, cmap="tab10", legend=True)
windows[windows["label"] == 0].boundary.plot(ax=axes, color="#808080", linewidth=0.5)
windows[windows["label"] == 1].boundary.plot(ax=axes, color="#cb181d", linewidth=1)
survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black", markersize=30)
axes.set(title="Blocks by fold; windows with ore (red) and barren ones (grey)")
plt.show()
