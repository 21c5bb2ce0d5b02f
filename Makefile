# Two commands on a fresh clone: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test clean

setup: .venv/ready

# torch comes first and pinned, so that no resolver picks a build of several gigabytes. Of lightly a test wants a loss and
# two heads alone, and none of what it depends on.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .[demo,dev]
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps lightly lightly-utils
	touch $@

demo: setup
	$(BIN)/headstart demo

test: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

clean:
	rm -rf .venv dist
