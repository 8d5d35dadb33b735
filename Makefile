# Everything a newcomer needs: `make quickstart` to see it work, `make test` to pass the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/quickstart
DIST ?= dist

.PHONY: quickstart test lint types docs package trust trust-short clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

quickstart: $(VENV)/.installed
	$(BIN)/showtell quickstart --out $(OUT)

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

# The documentation site, in build/site; look at it with `python -m http.server -d build/site`.
docs: $(VENV)/.installed
	$(BIN)/python scripts/build_site.py

# An sdist, and a wheel made from it; asks no index, as hatchling is in dev.
package: $(VENV)/.installed
	$(BIN)/python -m build --no-isolation --outdir $(DIST)

# A script of bench/, such as `make bench-store`, or `make bench-start ARGS="RUN IMAGE"`.
bench-%: $(VENV)/.installed
	$(BIN)/python bench/$*.py $(ARGS)

# The campaign of docs/trust.md: two hours in all, one part alone, or the short form that CI runs.
trust: $(VENV)/.installed
	$(BIN)/python trust/all.py $(ARGS)

trust-short: $(VENV)/.installed
	$(BIN)/python trust/all.py --short --results build/trust

trust-%: $(VENV)/.installed
	$(BIN)/python trust/$*.py $(ARGS)

clean:
	rm -rf $(VENV) build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
