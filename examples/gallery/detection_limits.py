"""
Values below detection
======================

Laboratories write "<5", -5, 0 or nothing for what they could not measure. The check finds these, says what it took them
for, and counts them for each element. Here gold gets a limit and its low values the text that laboratories write.
"""

from dataclasses import replace

import matplotlib.pyplot as plt

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)
samples = survey.samples.copy()
low = samples["Au_ppb"] < 1.0
samples["Au_ppb"] = samples["Au_ppb"].astype(object)
samples.loc[low, "Au_ppb"] = "<1.0"

checked, findings = gm.check_survey(replace(survey, samples=samples))
print(findings.loc[findings["column"] == "Au_ppb", ["rule", "count", "done"]].to_string())
limits = gm.detection_limits(checked)
print(limits[["element", "unit", "values", "below", "limits"]].to_string())

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.barh(limits["element"], 100 * limits["share_below"], color="#08519c")
axes.set(xlabel="Values below detection (%)")
plt.show()
