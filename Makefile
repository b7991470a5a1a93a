# Everything a newcomer, a developer and CI need; `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file of versions to install, as CI does: make test CONSTRAINTS=.ci/constraints.txt
CONSTRAINTS ?=
PINNED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
AREAS ?= ../shared/areas

.PHONY: help install package demo docs man test slow quick fuzz torture test-lowest constraints check bench skill members networks tables areas plugin plugin-pictures clean

help:
	@echo "make demo    install into .venv, make a synthetic survey, map it (4 minutes after installing)"
	@echo "make test    install into .venv with the test extra, run the test suite (five minutes)"
	@echo "make slow    the tests that take longest: whole runs, real areas, installations, clusters (five minutes more)"
	@echo "make quick   the tests of a minute, for work in progress"
	@echo "make fuzz    10,000 damaged files into the commands (COUNT=300 for fewer)"
	@echo "make torture 200 runs killed at random moments (KILLS=20 for fewer)"
	@echo "make docs    build the site into build/site: runs the gallery; a warning is an error"
	@echo "make man     the commands as a manual page, build/man/geomfaf.1"
	@echo "make check   lint, types, known weaknesses of what is installed"
	@echo "make constraints   write the versions that are installed here into .ci/constraints.txt, for CI"
	@echo "make test-lowest   the suite with the lowest versions that pyproject.toml allows"
	@echo "make bench   measure the gridding against its peers (a quarter of an hour)"
	@echo "make skill   measure every model on the synthetic survey and the real areas, write docs/skill.md (an hour)"
	@echo "make members  measure what the default may be made of, pooled over areas, and more evidence, for docs/skill.md (an hour)"
	@echo "make networks  measure networks and their choices on the same surveys, for docs/skill.md (two hours)"
	@echo "make tables  repeat the paper's Tables 3 to 6 on the synthetic survey, for docs/skill.md (hours)"
	@echo "make areas   run the real areas of $(AREAS), when they are there"
	@echo "make plugin  pack the QGIS plugin into dist/geomfaf_qgis.zip"
	@echo "make plugin-pictures  take the pictures of docs/qgis_plugin.md in QGIS, of DEMO=demo"
	@echo "make package  build and check sdist and wheel into dist/"
	@echo "make clean   remove .venv and every result"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("geomfaf needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# Without a graphics card, PyTorch's build for processors: the usual one for Linux brings gigabytes of
# CUDA. Where it cannot be had, the usual one is taken.
TORCH_CPU := https://download.pytorch.org/whl/cpu

$(VENV)/installed: $(BIN)/python pyproject.toml
	@echo "installing geomfaf and what it needs into $(VENV) (a minute or two, PyTorch is large)"
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
	  $(BIN)/python -m pip --isolated install --quiet --retries 1 --timeout 30 --index-url $(TORCH_CPU) $(PINNED) torch torchvision 2>/dev/null \
	  && $(BIN)/python -c "import torchvision" 2>/dev/null \
	  || { echo "PyTorch's build for processors cannot be had: taking the usual one"; \
	       $(BIN)/python -m pip uninstall --quiet --yes torch torchvision 2>/dev/null; } ; fi
	$(BIN)/python -m pip install --quiet $(PINNED) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet $(PINNED) -e '.[dev]'
	@touch $@

install: $(VENV)/installed

demo: install
	$(BIN)/geomfaf demo demo --overwrite

# All but the tests that take longest; CI runs those, too.
test: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow"

slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m slow tests

# Everything but whole runs, trainings and browsers.
quick: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(QUICK)

QUICK := tests/settings tests/run/test_memory.py tests/run/test_folder.py tests/rasters tests/survey tests/windows tests/test_structure.py

COUNT ?= 10000
fuzz: $(VENV)/installed-dev
	$(BIN)/python tests/fuzz/fuzz.py --count $(COUNT)

KILLS ?= 200
torture: $(VENV)/installed-dev
	$(BIN)/python tests/torture/torture.py --kills $(KILLS)

constraints: $(VENV)/installed-dev $(VENV)/installed-docs
	@echo '# What CI installs, so that a new version of a library cannot change its result: made by `make constraints`.' > .ci/constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable >> .ci/constraints.txt

# The lower bounds of pyproject.toml, in an environment of their own.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -r .ci/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --no-deps -e .
	.venv-lowest/bin/python -m pytest -p no:cacheprovider

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pip-audit --skip-editable || echo "pip-audit found something, or no network: read it"

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet $(PINNED) -e '.[docs]'
	@touch $@

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site
	@! grep -rlE '<(script|link)[^>]+(src|href)="(https?:)?//' build/site --include='*.html' \
	  || (echo "these pages of the site load something from the network"; exit 1)
	@echo "open build/site/index.html"

# The gallery is not run for it; warnings are looked at by make docs.
man: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -Q -b man -D plot_gallery=0 docs build/man
	@echo "man build/man/geomfaf.1"

# Against gdal_grid, SAGA and the other peers that are installed; rewrites the tables of docs/benchmarks.
bench: install
	for part in processes computations growth scale cold; do $(BIN)/python benchmarks/idw.py $$part || exit 1; done
	$(BIN)/python benchmarks/stack.py

# Goes on where it stopped: a finished area is not run again. `make clean` forgets them.
skill: install
	$(BIN)/python benchmarks/skill.py --areas $(AREAS)

# Goes on where it stopped, as the others do.
members: install
	$(BIN)/python benchmarks/members.py --areas $(AREAS)
	$(BIN)/python benchmarks/evidence.py rasters
	$(BIN)/python benchmarks/evidence.py magnetics --seeds 2
	$(BIN)/python benchmarks/evidence.py catchments --seeds 2
	$(BIN)/python benchmarks/skill.py --page

networks: install
	$(BIN)/python benchmarks/networks.py --areas $(AREAS)
	$(BIN)/python benchmarks/choices.py --areas $(AREAS)
	$(BIN)/python benchmarks/skill.py --page

tables: install
	$(BIN)/python benchmarks/skill.py --page --tables

# What QGIS installs from a file: Plugins > Manage and Install Plugins > Install from ZIP.
plugin:
	mkdir -p dist
	$(PYTHON) qgis_plugin/pack.py dist/geomfaf_qgis.zip
	@echo "dist/geomfaf_qgis.zip: install it in QGIS from a ZIP"

# The pictures of docs/qgis_plugin.md: needs qgis and xvfb-run. DEMO is the folder that `make demo` fills.
DEMO ?= demo
plugin-pictures:
	GEOMFAF_PLUGIN=qgis_plugin GEOMFAF_DEMO=$(DEMO) GEOMFAF_PICTURES=build/pictures \
	  xvfb-run --auto-servernum --server-args="-screen 0 1400x1200x24" \
	  qgis --nologo --noversioncheck --profiles-path build/qgis --code tests/qgis_plugin/qgis_pictures.py
	@echo "build/pictures: look at them before they go into docs/images"

areas: install
	@for area in clb_finland mtpainter_sa murchison_wa; do \
	  if [ -f $(AREAS)/$$area.gpkg ]; then \
	    mkdir -p areas/$$area && \
	    $(BIN)/geomfaf init $(AREAS)/$$area.gpkg --toml areas/$$area/geomfaf.toml --overwrite && \
	    $(BIN)/geomfaf run areas/$$area/geomfaf.toml --overwrite || exit 1; \
	  else echo "$(AREAS)/$$area.gpkg is not there: skipped"; fi; \
	done

# sdist and wheel, the same bytes for the same files; what is wrong with them is said.
package: $(VENV)/installed-dev
	rm -rf dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/check-wheel-contents dist/*.whl

clean:
	rm -rf $(VENV) .venv-lowest demo areas skill build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
