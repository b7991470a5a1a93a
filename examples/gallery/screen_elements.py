"""
Which elements stand out near known deposits?
=============================================

Each element is asked how well its values tell samples near a deposit from all others: AUC 0.5 is chance. The bars are 95 %
intervals that take samples as independent, which neighbours are not, so they are too short. ``geomfaf run`` asks again in
every fold, without the deposits that test it.
"""

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
survey, _ = gm.check_survey(survey)
table = gm.screen_elements(survey.samples, survey.deposits, survey.elements)
print(table.to_string())

table = table.sort_values("auc")
figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
lengths = [table["auc"] - table["auc_low"], table["auc_high"] - table["auc"]]
axes.errorbar(table["auc"], table["element"], xerr=lengths, fmt="o", color="#808080")
kept = table[table["kept"]]
axes.plot(kept["auc"], kept["element"], "o", color="#cb181d", label="kept")
axes.axvline(0.5, color="black", linestyle=":", label="chance")
axes.set(xlabel="AUC of samples near deposits against all others")
axes.legend()
plt.show()
