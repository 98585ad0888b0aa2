PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt

.PHONY: demo test coverage lint bench docs clean

demo: $(VENV)/.installed
	$(BIN)/emprox demo

test: $(VENV)/.installed-test
	$(BIN)/pytest -n 2 --dist loadgroup

coverage: $(VENV)/.installed-test
	$(BIN)/pytest -n 2 --dist loadgroup --cov=emprox --cov-report=term:skip-covered

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-test
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[xgboost-cpu,docs]'
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build

TABLES ?= $(EMPROX_TABLES)
bench: $(VENV)/.installed
	$(BIN)/emprox bench --table nasbench201 $(if $(TABLES),--tables-root $(TABLES)) \
	  --estimator xgboost --estimator emprox-paper:k=10 --estimator emprox-paper:k=60 \
	  --estimator xgboost:encoding=features --estimator emprox \
	  --train-size 121 --test-size 1000 --trials 20 --seed 0 --out benchmarks/results/nasbench201_121.json

$(VENV)/.installed: setup.cfg pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) torch setuptools
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[xgboost-cpu]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[xgboost-cpu,build,test,lint]'
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --no-deps timm  # without torchvision, which brings another torch
	@command -v chromium chromium-browser google-chrome > /dev/null \
	  || { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; } > /dev/null 2>&1 \
	  || echo "no Chromium, and apt-get cannot install it: the tests of reports in a browser will be skipped"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
