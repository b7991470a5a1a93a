"""
One area from start to end
==========================

Every judgement of a small survey, in the order in which it is made. ``geomfaf run`` makes the same ones with finer cells, more
draws and all rivals, and writes them down.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

# %%
# **What is wrong with the data?** Read this before any map: what was found, how often, and what was done about it.
survey, findings = gm.check_survey(gm.make_survey("small", seed=0)[0])
print(findings[["severity", "layer", "column", "rule", "count"]].to_string(index=False))

# %%
# **Which elements speak?** One that is not enriched near the deposits would only add noise. Ore of several kinds in one layer
# makes a map of everything: here all are kept, for they are made up.
screening = gm.screen_elements(survey.samples, survey.deposits, survey.elements)
print(screening[["element", "auc", "zauc", "kept"]].head(6).to_string(index=False))
elements = screening.loc[screening["kept"], "element"].head(4).tolist()

# %%
# **Which ground tests, which teaches?** Whole blocks are held out, with a margin that no training window enters.
grid = gm.survey_grid(survey, cell=200)
stack = gm.build_stack(survey, grid, elements=elements)
windows, folds = gm.make_windows(stack, survey.deposits, size=8)
print(
    f"{folds.count} folds of blocks of {folds.block * grid.cell:,.0f} m, margin {folds.margin} cells"
)

# %%
# **Is the network worth it?** It is judged beside simple rivals on the same folds; the verdict says which one to take.
options = gm.training_options("mfaf", least_steps=60)
model = gm.train_model(stack, windows, folds, options=options)
scores = gm.predict_scores(model, stack)
rivals = ["logistic regression", "extra trees"]
draws = [gm.Draw(windows, model.seed)]
found = gm.evaluate_model(model, stack, draws, survey.deposits, scores, baselines=rivals)
print(*found.verdict, sep="\n")

# %%
# **Could chance have done it?** The same pattern of deposits, shifted at random, should score worse.
test = gm.null_test(stack, survey.deposits, block=folds.block, margin=folds.margin, shifts=39)
print(f"held out {test.observed:.2f}, shifted {test.moved.mean():.2f} on average, p = {test.p:.3f}")

# %%
# **Where to walk?** New ground first, then what lies around known deposits.
targets = gm.make_targets(scores, survey.deposits, stack=stack, samples=survey.samples, size=8)
print(*(targets["name"] + ": " + targets["why"]).head(3), sep="\n")
axes = targets.plot("status", legend=True, cmap="Set2", edgecolor="black", figsize=(6, 6))
survey.deposits.plot(ax=axes, marker="^", color="white", edgecolor="black")
axes.set(title="Targets and known deposits")
plt.show()
