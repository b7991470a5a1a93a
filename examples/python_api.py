"""The chain in Python, on the synthetic survey: from GeoDataFrames to target polygons."""

import geomfaf as gm

survey, _ = gm.make_survey("small", seed=0)  # or gm.read_survey("survey.gpkg")
survey, findings = gm.check_survey(survey)
gm.require_accepted(findings)

grid = gm.survey_grid(survey, cell=50)
screening = gm.screen_elements(survey.samples, survey.deposits, survey.elements)
kept = list(screening.loc[screening["kept"], "element"])
stack = gm.build_stack(survey, grid, elements=kept)

windows, folds = gm.make_windows(stack, survey.deposits)
model = gm.train_model(stack, windows, folds)
scores = gm.predict_scores(model, stack)
draws = [gm.Draw(windows, model.seed)]  # more draws of barren ground make the figures surer
evaluation = gm.evaluate_model(model, stack, draws, survey.deposits, scores)
targets = gm.make_targets(
    scores, survey.deposits, stack=stack, samples=survey.samples, faults=survey.faults
)

print(*evaluation.verdict, sep="\n")
print(
    "Elements were chosen with all deposits here, so these figures flatter; `geomfaf run` chooses"
    " them in the folds."
)
print(targets[["name", "status", "area_km2", "mean_score", "why"]].head().to_string())
