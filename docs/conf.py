"""The site: `make docs`. Sphinx, because it is the one tool of this kind whose gallery, interface
pages and Markdown are all well kept; the pages are Markdown, which also reads well in the repository.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
STAGES = {
    "progress": "What is shown meanwhile",
    "rasters": "Grids and rasters",
    "survey": "Surveys",
    "synthetic": "A survey whose truth is known",
    "evidence": "Evidence",
    "windows": "Windows and folds",
    "models": "Models",
    "evaluation": "Evaluation",
    "deliver": "What people open",
    "run": "Whole runs",
}


def write_interface_page() -> None:
    """Write the page of all public names, by stage, in the order of the data flow."""
    stubs = (ROOT / "geomfaf" / "__init__.pyi").read_text(encoding="utf-8")
    lines = []
    told = ""
    for module, name in re.findall(r"^from \.([\w.]+) import (\w+) as", stubs, re.MULTILINE):
        stage = STAGES[module.split(".")[0]]
        if stage != told:
            lines += [f"## {stage}", ""]
            told = stage
        kind = "autoclass" if name[0].isupper() else "autofunction"
        lines += ["```{eval-rst}", f".. {kind}:: geomfaf.{name}", "```", ""]
    write_page("api.md", "\n".join(lines))


def write_tables_page() -> None:
    """Write the page that lists the tables of the benchmarks."""
    lines = ["# Benchmark tables", "", "As the commands in `benchmarks/` wrote them.", ""]
    for path in sorted((HERE / "benchmarks").glob("*.md")):
        lines.append(f"- [{path.stem.replace('_', ' ')}](../benchmarks/{path.name})")
    write_page("tables.md", "\n".join([*lines, ""]))


def write_page(name: str, text: str) -> None:
    """Write a page that is made, only where it changed: Sphinx reads what is new."""
    path = HERE / "made" / name
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


write_interface_page()
write_tables_page()
for page in ("CHANGELOG.md", "CONTRIBUTING.md"):
    # Their links begin at the root of the repository.
    words = (ROOT / page).read_text(encoding="utf-8").replace("](docs/", "](../")
    write_page(page.lower(), words)

project = "geomfaf"
author = "The geomfaf developers"
copyright = author
version = re.search(r'__version__ = "(.+)"', (ROOT / "geomfaf" / "__init__.py").read_text()).group(
    1
)
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["made/api.md"]
# A table of figures is a page of its own, without a title: the list of tables leads to it.
suppress_warnings = ["toc.not_included"]
man_pages = [("commands", "geomfaf", "from survey files to an honest map of targets", [author], 1)]
html_theme = "furo"
html_title = "geomfaf"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    # Their page would load its table's scripts from the network.
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "within_subsection_order": "FileNameSortKey",
    "plot_gallery": True,
}
