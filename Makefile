# `make demo` and `make test` need nothing but make and Python 3.11 or newer. The first run sets up .venv; nothing is
# installed outside of it, and nothing is fetched but packages from PyPI. The one exception: the tests of pages need
# Chromium, which `make test` installs if root runs it on Debian.

.PHONY: help demo test lint format bench clean
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

help:
	@echo "make demo     check a small shop with every mistake, then its airtight twin"
	@echo "make test     format, lint, types and the whole test suite, its run-time half with three SQLAlchemys and four FastAPIs"
	@echo "make lint     the same without the test suite"
	@echo "make format   format the code and fix what ruff can fix"
	@echo "make bench    speed, and other tools side by side (downloads some 120 MB once)"
	@echo "make clean    remove .venv and all caches"

demo: $(READY)
	@printf '\n=== examples/shop: a small FastAPI shop with every mistake ===\n\n'
	@$(BIN)/hermetic check examples/shop; test $$? -eq 1
	@printf '\n=== examples/shop_airtight: the same shop without them ===\n\n'
	@$(BIN)/hermetic check --strict examples/shop_airtight

test: lint
	@sh scripts/find-browser --install >/dev/null
	@echo "== tests"
	@sh scripts/twice $(BIN)/pytest
	@sh scripts/matrix
	@sh scripts/fastapi
	@sh scripts/arq

lint: $(READY)
	@echo "== format"
	@$(BIN)/ruff format --check
	@echo "== lint"
	@$(BIN)/ruff check
	@echo "== types"
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(READY)
	@$(BIN)/python bench/speed.py
	@$(BIN)/python bench/rivals.py

clean:
	rm -rf $(VENV) .venv-matrix .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Set up again when the dependencies change, or when the directory has moved: an editable install knows only its old place.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): pyproject.toml | $(BIN)/python
	@echo "Installing hermetic and its tools into $(VENV) (once; half a minute) ..."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@pwd -P > $(READY)

$(BIN)/python:
	@python=$$(sh scripts/find-python) && \
	    echo "Making $(VENV) with $$("$$python" --version) ($$python) ..." && \
	    "$$python" -m venv --clear $(VENV)
