# Two commands: `make quickstart` and `make test`. Each makes its environment first, and is quick the second time.
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps

# A stamp's name depends on the pins and on the place of the checkout: other pins or another place make a new environment.
# An environment without its stamp was left half made.
PINS := .venv/.pins-$(shell { pwd; cat requirements/cpu.txt; } | cksum | cut -d' ' -f1)
SETUP := .venv/.project-$(shell cksum < pyproject.toml | cut -d' ' -f1)
# The first interpreter on the path that runs and has the right version.
PYTHON = $(firstword $(foreach name,python3.11 python3.12 python3,$(shell $(name) -c \
	'import sys; sys.version_info[:2] in ((3, 11), (3, 12)) and print(sys.executable)' 2>/dev/null)))
stop = { echo "make: $(1)" >&2; exit 1; }

.PHONY: help setup quickstart test bench lint format clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' Makefile

setup: $(SETUP)  ## the environment in .venv: the packages of requirements/cpu.txt, 5 GB on disk

quickstart: setup  ## the whole chain with a small model on the CPU, into outputs/quickstart
	$(BIN)/gsr-rl run recipe=quickstart_cpu

test: lint  ## lint, then all tests
	$(BIN)/python -m pytest

bench: setup  ## measures ratios side by side, into bench/results; stop other work first
	$(BIN)/python bench/run.py

lint: setup  ## style, types, imports, and the length of files and functions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: setup  ## fix the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv and caches; outputs stay
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PINS):
	@[ "$$(uname -sm)" = "Linux x86_64" ] || $(call stop,needs Linux on x86-64 (WSL2 will do); this is $$(uname -sm))
	@[ -n "$(PYTHON)" ] || $(call stop,needs Python 3.11 or 3.12 on the path; install one of them)
	@command -v g++ >/dev/null || $(call stop,needs a C++ compiler: vLLM compiles as it starts; install g++)
	@echo "make: installing into .venv with $(PYTHON); 2 minutes, longer on a slow network"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || $(call stop,$(PYTHON) cannot make environments; install its venv package)
	@$(PIP) --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0+cpu
	@$(PIP) --requirement requirements/cpu.txt
	@touch $@

$(SETUP): $(PINS)
	@$(PIP) --no-build-isolation --editable .
	@rm -f .venv/.project-*
	@touch $@
