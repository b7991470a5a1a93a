"""
Weights of evidence beside MFAF
===============================

For each pattern (rocks, a fault nearby, gold above a threshold) the weights say how much more often deposits lie on it than
off it. The contrast C is their difference; C divided by its standard deviation says whether it is more than chance. Beside it
the network, trained for moments: both maps show scores by models that never saw the place.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=200)
stack = gm.build_stack(survey, grid, elements=["Ag_ppb", "Au_ppb", "Cu_ppm"])
print(gm.weigh_evidence(stack, survey.deposits).summary().to_string())

windows, folds = gm.make_windows(stack, survey.deposits, size=8)
options = gm.training_options("mfaf", least_steps=100)
model = gm.train_model(stack, windows, folds, options=options)
scores = gm.predict_scores(model, stack)
rival = "weights of evidence"
draws = [gm.Draw(windows, model.seed)]
judged = gm.evaluate_model(model, stack, draws, survey.deposits, scores, baselines=[rival])
table = judged.table.set_index("model")

figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
maps = {"MFAF": scores, rival: gm.predict_baseline(rival, stack, windows, folds)}
for axes, (name, bands) in zip(panels, maps.items(), strict=True):
    row = table.loc[name]
    bands.sel(band="heldout_score").plot(ax=axes, cmap="YlOrRd", robust=True)
    survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black", markersize=25)
    interval = f"{row['map_auc_low']:.2f} to {row['map_auc_high']:.2f}"
    axes.set(title=f"{name}\nheld-out map AUC {row['map_auc']:.2f} ({interval})")
plt.show()
