PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt

.PHONY: demo test lint bench clean

demo: $(VENV)/.installed
	$(BIN)/emprox demo

test: $(VENV)/.installed-test
	$(BIN)/pytest -n 2

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
