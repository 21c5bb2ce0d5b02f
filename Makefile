# Everything lives in .venv, which `make setup` and every other target make when it is missing or out of date.
PYTHON ?= python3
PYTHON_MINIMUM ?= python3.11
BIN := .venv/bin
# Coverage by sys.monitoring costs next to nothing, from Python 3.12 on; before, coverage's C tracer makes Python half as
# slow again: most slow tests do not count for it, nor do the processes that tests start (tests/conftest.py).
CORE = $$($(BIN)/python -c "import sys; print('sysmon' if sys.version_info >= (3, 12) else 'ctrace')")
# A process per core, and a thread in each: threads of one test would wait for those of the other.
# Whoever has none left takes tests from the other: a module's trained runs are made once, and both end together.
# Byte code is kept, also where the environment forbids it, as in many containers: without it each worker and each
# command that a test starts compiles the tests and headstart anew, for seconds.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal
# Benchmarks that need no arguments; `make bench` says how to run the others.
BENCHMARKS := benchmarks/help_time.py benchmarks/iou.py benchmarks/maps.py benchmarks/floor.py

.DEFAULT_GOAL := help
.PHONY: help setup demo lint format typecheck test test-fast test-minimum crash fuzz docs architecture wheel bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: .venv/ready ## make .venv, with the versions of constraints.txt

# torch comes first and pinned, so that no resolver picks another build of several gigabytes. Of lightly a test needs one
# loss and two heads, and none of what lightly depends on.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .[demo,dev,docs]
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps lightly lightly-utils
	touch $@

demo: setup ## study 2,624 photographs of solar cells, in minutes
	$(BIN)/headstart demo

lint: setup ## ruff check, ruff format --check, import-linter, hadolint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; fi

format: setup ## format the code, and fix what ruff can fix
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

typecheck: setup ## mypy, strict, over src, tests, benchmarks, docs and examples
	$(BIN)/mypy

test: lint typecheck ## every check: lint, typecheck, all tests, coverage (at least 90 %)
	COVERAGE_CORE=$(CORE) $(PYTEST) --cov --cov-report=term:skip-covered

test-fast: setup ## the tests that need neither minutes, nor a browser, nor shared data
	$(PYTEST) -m "not slow and not browser and not shared"

# The tests' own tools come in the versions of constraints.txt. torch is several gigabytes here as well.
TOOLS := pytest|pytest-cov|hypothesis|playwright|byol-pytorch|efficientnet-lite-pytorch|scikit-image|tifffile
.venv-minimum/ready: pyproject.toml constraints.txt constraints-minimum.txt
	$(PYTHON_MINIMUM) -m venv .venv-minimum
	.venv-minimum/bin/pip install --quiet --disable-pip-version-check -c constraints-minimum.txt -e .[demo,geo,heif,labels,medical,parquet]
	grep -iE "^($(TOOLS))==" constraints.txt | .venv-minimum/bin/pip install --quiet \
		--disable-pip-version-check -c constraints-minimum.txt -r /dev/stdin
	touch $@

# Old libraries beside new ones deprecate things that headstart does not call.
test-minimum: .venv-minimum/ready ## the fast tests, with the lowest versions that pyproject.toml allows
	.venv-minimum/bin/pytest -W default::DeprecationWarning -W default::FutureWarning -m "not slow and not browser and not shared"

crash: setup ## interrupt training and studies in every way, resume, compare: survived / tried (an hour)
	$(BIN)/python tests/robustness/crash.py

fuzz: setup ## 10,000 damaged files per parser: survived / tried (an hour)
	$(BIN)/python tests/robustness/fuzz.py

docs: setup ## the documentation with the API reference, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

architecture: setup ## write ARCHITECTURE.md anew from the modules' docstrings
	$(BIN)/python docs/architecture.py

wheel: setup ## the wheel, in dist/
	$(BIN)/python -m build --wheel --no-isolation

bench: setup ## run the benchmarks that need no arguments, and say how to run the others
	@for script in $(BENCHMARKS); do echo "$$script"; $(BIN)/python $$script || exit 1; done
	@echo; echo "With data of your own ($(BIN)/python for python):"; grep -ho 'python benchmarks/[a-z_]*\.py.*' benchmarks/*.py | sed 's/[."]*$$//'

clean: ## remove the environments and what was built
	rm -rf .venv .venv-minimum dist site .coverage .coverage.*
