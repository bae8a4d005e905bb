# make install   .venv with everything           make test    the quick tests (under 10 minutes on 2 cores)
# make check     lint, format, types             make slow    tests that train models or load foreign toolkits
# make demo      the whole way in small, no data       make realdata FSDD=DIR    the smoke test on real recordings
#                                                      make gpu     a GPU against the CPU

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1

.PHONY: install test slow gpu realdata check format demo clean

install: $(INSTALLED)

# torch comes first and pinned: an open range may bring gigabytes of CUDA packages onto a CPU machine.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11, 4) <= sys.version_info < (3, 12) else "kdspeech needs Python 3.11, 3.11.4 or later; call make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,demo,serve]'
	touch $@

test: install
	$(BIN)/pytest

slow: install
	$(BIN)/pytest -m slow

gpu: install
	$(BIN)/pytest -m gpu

realdata: install
	KDSPEECH_FSDD='$(FSDD)' $(BIN)/pytest -m realdata

# Types are checked on an installed copy, since the top-level folders install under other names.
check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build
	$(BIN)/pip install --quiet --no-deps --target build/typecheck .
	cp -r tests build/typecheck/tests
	cd build/typecheck && MYPYPATH=. ../../$(BIN)/mypy --config-file ../../pyproject.toml -p kdspeech -p tests

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: install
	PATH="$(CURDIR)/$(BIN):$$PATH" bash experiments/demo.sh

clean:
	rm -rf build $(VENV)
