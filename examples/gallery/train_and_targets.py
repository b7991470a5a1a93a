"""
From windows to targets, with a small network
=============================================

A network learns from windows on deposits and on barren ground in each fold, scores every cell, is judged on ground it never
saw, and the best ground becomes targets, each with a sentence that says why. Few epochs and large cells make it quick here.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
grid = gm.survey_grid(survey, cell=200)
stack = gm.build_stack(survey, grid, elements=["Ag_ppb", "Au_ppb", "Cu_ppm"])
windows, folds = gm.make_windows(stack, survey.deposits, size=8)
model = gm.train_model(stack, windows, folds, options=gm.training_options(epochs=2, least_steps=20))
scores = gm.predict_scores(model, stack)

attention = gm.factor_attention(model, stack, windows)
print(attention.groupby("factor")["weight"].mean().sort_values(ascending=False).to_string())
draws = [gm.Draw(windows, model.seed)]
print(gm.evaluate_model(model, stack, draws, survey.deposits, scores).verdict[0])

targets = gm.make_targets(
    scores, survey.deposits, stack=stack, samples=survey.samples, faults=survey.faults
)
print(*targets["why"].head(3), sep="\n")

figure, axes = plt.subplots(figsize=(6.5, 5.5), layout="constrained")
scores.sel(band="score").plot(ax=axes, cmap="YlOrRd", robust=True)
targets.boundary.plot(ax=axes, color="#08306b", linewidth=1)
survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black", markersize=30)
axes.set(title="Score, targets and known deposits")
plt.show()
