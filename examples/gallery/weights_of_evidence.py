"""
Weights of evidence: the classical rival
========================================

For each pattern (rocks, a fault nearby, gold above a threshold) the weights say how much more often deposits lie on it than
off it. The contrast C is their difference; C divided by its standard deviation says whether it is more than chance.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=100)
stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
found = gm.weigh_evidence(stack, survey.deposits)
print(found.summary().to_string())

figure, axes = plt.subplots(figsize=(6.5, 5.5), layout="constrained")
found.posterior.sel(band="posterior").plot(ax=axes, robust=True, cmap="YlOrRd")
survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black", markersize=30)
axes.set(title="Posterior probability, of the deposits it was made from")
plt.show()
