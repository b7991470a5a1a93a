"""A worked case: from the GeoPackage of Central Lapland to target sheets, with every judgement printed.

Run: python examples/central_lapland.py clb_finland.gpkg FOLDER
"""

import json
import sys
from pathlib import Path

import pandas as pd

import geomfaf as gm

source = Path(sys.argv[1])
folder = Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)

# 1. What is there, and what is wrong with it?
toml = folder / "geomfaf.toml"
print(*gm.init_project([source], toml, overwrite=True), sep="\n")
survey, findings = gm.check_survey(gm.load_project(toml).read())
print(f"{len(survey.samples):,} samples, {len(survey.deposits)} deposits in the study area")
print(findings[["severity", "layer", "column", "rule", "count"]].to_string(index=False))

# 2. Everything else is one call; it takes minutes, and goes on where it stopped.
out = gm.run_project(gm.load_project(toml), overwrite=True)

# 3. Which elements stood out, and what is the map worth on ground it never saw?
screening = pd.read_csv(out / "screen.csv")
print("kept:", *screening.loc[screening["kept"], "element"])
verdict = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["verdict"]
print(*verdict, sep="\n")

# 4. The targets, and why. Their sheets are in the report.
targets = pd.read_csv(out / "targets.csv")
print(targets[["name", "status", "area_km2", "heldout_score", "why"]].head().to_string(index=False))
print(f"open {out / 'report.html'}")
