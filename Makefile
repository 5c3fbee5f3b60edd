# Targets for a fresh machine: `make demo` and `make test` each make the environment first.
# PYTHON chooses the interpreter (3.11 or newer); VENV the folder of the environment; JOBS the processes that test. Three suit
# two cores: a quarter of the time tests wait for a time-out or for a program that ends.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH_VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
JOBS ?= 3

.PHONY: regmap venv references clients board-env demo test check format docs clean

venv: $(VENV)/.installed

# A CPU build of PyTorch is asked for first: the default build of some platforms brings gigabytes of GPU packages.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "rmhil needs Python 3.11 or newer, this is " + sys.version)'
	@echo "making the environment $(VENV): 1.8 GB with PyTorch, once; some minutes in which nothing is shown"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch==$(TORCH_VERSION)+cpu" -c constraints.txt 2>/dev/null \
	  || { echo "no CPU build of PyTorch is offered here: taking the platform's default build"; \
	       $(BIN)/python -m pip install --quiet "torch==$(TORCH_VERSION)" -c constraints.txt; }
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $@

# Independent solvers that integration tests and benchmarks compare with; needs apt's libcairo2-dev and pkg-config.
references: venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[references]"

# Public drivers of the B1500A, which integration tests run against the emulator; never part of the project's environment.
clients:
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet qcodes==0.58.0 pymeasure==0.16.0 pyvisa-py==0.8.1

# What the board's own program is tested with; pynq pins numpy below 2 and a grpcio that is built for Python up to 3.12, and
# needs a module that pycparser 3 dropped.
board-env:
	$(PYTHON) -m venv .venv-board
	.venv-board/bin/python -m pip install --quiet pynq==3.1.2 "pycparser<3"

demo: venv
	$(BIN)/rmhil demo

# Files in the order of their names: by the number of its tests, as xdist has it, the longest file would come last.
test: venv
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=40

# What follows from the register map, the board descriptions, the chips' numbers and the pin files.
regmap: venv
	$(BIN)/python firmware/regmap/generate.py
	$(BIN)/python firmware/vivado/make_overlay.py

check: venv
	$(BIN)/python firmware/regmap/generate.py --check
	$(BIN)/python firmware/vivado/make_overlay.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/pdoc --docformat google --output-directory build/reference rmhil sim_backend calibration

clean:
	rm -rf $(VENV) build runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
