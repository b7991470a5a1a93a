"""Projects that several test files run."""

from pathlib import Path

from geomfaf.run.project import load_project
from geomfaf.run.template import init_project
from geomfaf.synthetic import write_survey


def prepare(folder, survey, cell=100, **settings):
    """Write a survey and the project file that `geomfaf init` makes of it, with coarse cells to be
    quick.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = survey
    if not isinstance(survey, Path):
        source = folder / "survey.gpkg"
        write_survey(survey, source)
    toml = folder / "geomfaf.toml"
    init_project([source], toml)
    lines = [
        f"cell = {cell}" if line.startswith("# cell = ") else line
        for line in toml.read_text().splitlines()
    ]
    quick = {"evaluate__draws": 2, "evaluate__network_draws": 1, "evaluate__shifts": 19}
    quick["evaluate__baselines"] = '["distance to deposit", "logistic regression", "extra trees"]'
    for key, value in {**quick, **settings}.items():
        table, name = key.split("__")
        lines.insert(lines.index(f"[{table}]") + 1, f"{name} = {value}")
    toml.write_text("\n".join(lines))
    return load_project(toml)
