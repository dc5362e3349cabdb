# Two commands to begin with: `make demo` and `make test`.  Each makes the environment that it needs.
#
#   make check                                  lint, types and quick tests, for each change; takes a minute or two
#   PYTHON=python3.13 make test                 uses another interpreter
#   make test TESTS='tests/test_runs.py -x'     takes these tests, or other options of pytest
#   make campaign SEEDS=0-59 JOBS=4             disturbs runs on purpose; CAMPAIGN="--record FILE" adds up pieces

PYTHON ?= python3
VENV ?= .venv
PEER ?= .venv-peer
DEMO ?= demo
JOBS ?= 2
TESTS ?=
SEEDS ?= 0-81
CAMPAIGN ?=
QUICK := not (slow or campaign or peer or postgresql or browser or condor)

.PHONY: demo check test lint types bench campaign docs clean

demo: $(VENV)/.installed
	$(VENV)/bin/pipetask demo $(DEMO)
	@echo
	@echo "To use these commands: . $(VENV)/bin/activate"

check: lint types
	$(VENV)/bin/python -m pytest -q -n $(JOBS) --dist worksteal -m "$(QUICK)" $(TESTS)

test: $(VENV)/.installed $(PEER)/.installed
	PIPETASK_PEER=$(abspath $(PEER))/bin/pipetask $(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal \
		$(if $(CI),--durations=25) $(TESTS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed
	$(VENV)/bin/mypy

bench: $(VENV)/.installed $(PEER)/.bps
	PIPETASK_PEER=$(abspath $(PEER))/bin/pipetask $(VENV)/bin/python -m benchmarks

campaign: $(VENV)/.installed
	cd tests && $(abspath $(VENV))/bin/python -m campaign $(SEEDS) --jobs $(JOBS) $(CAMPAIGN)

docs: $(VENV)/.installed
	$(VENV)/bin/pip install --quiet -e '.[doc]'
	$(VENV)/bin/sphinx-build -W --keep-going -q doc build/doc

clean:
	rm -rf $(VENV) $(PEER) build

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test,demo]'
	touch $@

# LSST's own command, which tests and benchmarks compare with, in an environment of its own.
$(PEER)/.installed:
	$(PYTHON) -m venv --clear $(PEER)
	$(PEER)/bin/pip install --quiet --disable-pip-version-check lsst-ctrl-mpexec
	touch $@

# What only benchmarks compare with: LSST's way to HTCondor.  It needs bindings that HTCondor 25 has no more.
$(PEER)/.bps: $(PEER)/.installed
	$(PEER)/bin/pip install --quiet --disable-pip-version-check lsst-ctrl-bps-htcondor 'htcondor<25'
	touch $@
