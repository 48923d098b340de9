# Plumbline: `make run` for a working site, `make test` for the suite. Both set themselves up.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
.DEFAULT_GOAL := help
# A port given on the command line is also the one in links, whatever .env says.
ifeq ($(origin PORT),command line)
export SITE_URL := http://$(HOST):$(PORT)
endif
.PHONY: help install install-train run demo test test-all lint format lock bench screenshots clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-train: requirements-train.txt $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -c requirements-dev.txt -r requirements-train.txt
	@touch $@

.env:
	@umask 077; python3 -c 'import secrets; print("SECRET_KEY=" + secrets.token_urlsafe(48))' > .env
	@echo "SITE_URL=http://$(HOST):$(PORT)" >> .env

install: $(VENV)/.installed .env  ## virtual environment and settings

install-train: $(VENV)/.installed-train  ## torch and transformers besides, for workers that train transformers and for their tests

run: install  ## a working site with demo data and a worker on http://127.0.0.1:8000
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	$(BIN)/python manage.py demo
	$(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

demo: install  ## only the demo data
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py demo

test: $(VENV)/.installed-dev  ## the suite on SQLite, a smoke of the rest where it can run (under 10 minutes)
	$(BIN)/python tests/suite.py

test-all: $(VENV)/.installed-dev  ## everything on both databases, browser and fault tests (under 40 minutes)
	$(BIN)/python tests/suite.py --all

bench: $(VENV)/.installed-dev  ## measure the annotator's loop, import and export (SQLite; see bench/README.md)
	$(BIN)/python -m bench.annotator_loop --items 1000 20000 --seconds 5 --runs 3
	$(BIN)/python -m bench.import_export --rows 5000 --runs 1

screenshots: $(VENV)/.installed-dev  ## pictures of every page of a running demo site, light and dark, in var/screenshots
	$(BIN)/python tests/browser/shoot.py http://$(HOST):$(PORT) var/screenshots/light --full
	$(BIN)/python tests/browser/shoot.py http://$(HOST):$(PORT) var/screenshots/dark --full --dark

lint: $(VENV)/.installed-dev  ## what a machine can check in seconds
	$(BIN)/python tests/suite.py --only lint

format: $(VENV)/.installed-dev  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

lock: $(VENV)/bin/python  ## compile the pinned requirements again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --no-header --no-emit-index-url --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --no-header --no-emit-index-url --python-version 3.11 requirements-dev.in -o requirements-dev.txt

clean:  ## remove the virtual environment and caches; data in var/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
