# The words a newcomer needs. `make deploy` and `make test` do all the set-up on a fresh machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup deploy test lint lab crash tune-long local-long promises docker-lab compose-long kubernetes-lab fresh-long bench docs manifests clean

help:
	@echo "make deploy      install, build the engine, bring the stack up on this machine, prove it with an order"
	@echo "make test        all tests that need no Docker, no root and no special tools"
	@echo "make lint        ruff, mypy, import-linter"
	@echo "make lab         tests with real faults; needs root, strace, tmux"
	@echo "make crash       seeded kill rounds, long form; writes docs/reports/crash.md"
	@echo "make tune-long   tune apply and revert: deaths at every system call, reboots and power cuts; writes docs/reports/tune*.md"
	@echo "make local-long  every fault and change in its long form, some hours; writes docs/reports/local-long.md"
	@echo "make promises    both captured days and a minute of load; writes docs/reports/promises.md"
	@echo "make docker-lab  the stack on a real Docker engine, in some minutes; needs root, mmdebstrap, iptables, runc, openssh-server, iproute2"
	@echo "make compose-long  the stack on a real Docker engine, in its long form; writes docs/reports/compose.md"
	@echo "make kubernetes-lab  on a real Kubernetes cluster: HFTCTL_TEST_KUBECONFIG, or one of its own, for which it needs root"
	@echo "make fresh-long  both commands on a bare Debian 12, in all forms; writes docs/reports/fresh.md"
	@echo "make bench       the benchmarks"
	@echo "make docs        the generated pages of docs/"
	@echo "make manifests   the rendered overlays of stack/manifests; needs kubectl"

setup: $(STAMP)

$(STAMP): pyproject.toml setup.py $(wildcard engine/*.pyx engine/*.pxd engine/*.h stack/*/*.pyx stack/*/*.pxd hftctl/tuning/*/*.pyx hftctl/tuning/*/*.pxd hftctl/tuning/*/*.h hftctl/tuning/rehearse/guest/init.c)
	@command -v $(PYTHON) >/dev/null || { echo "there is no '$(PYTHON)' on the PATH; install Python 3.11 or newer, or name one: make PYTHON=/usr/bin/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "hftctl needs Python 3.11 or newer, and this is $$($(PYTHON) --version); name another: make PYTHON=/usr/bin/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

deploy: setup
	$(BIN)/hftctl deploy local --yes

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not lab and not docker and not kubernetes'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: setup
	$(BIN)/python -m pytest -m lab --durations=30

crash: setup
	$(BIN)/python -m tests.faults.crash --rounds 200 --report docs/reports/crash.md

tune-long: setup
	$(BIN)/python -m tests.hftctl.tuning.deaths --report docs/reports/tune.md
	$(BIN)/python -m tests.lab.tune_reboots --report docs/reports/tune-reboots.md

local-long: setup
	$(BIN)/python -m tests.lab.local_long

promises: setup
	$(BIN)/python -m tests.lab.promises --report docs/reports/promises.md

docker-lab: setup
	$(BIN)/python -m pytest -m 'docker and not long' --durations=30

compose-long: setup
	$(BIN)/python -m pytest -m 'docker and long'
	$(BIN)/python -m tests.lab.docker.long --report docs/reports/compose.md

kubernetes-lab: setup
	$(BIN)/python -m pytest -m 'kubernetes and not long' --durations=30

docs: setup
	$(BIN)/python -m hftctl.cli.reference

manifests: docs
	@for overlay in orbstack staging production; do \
	  kubectl kustomize stack/manifests/overlays/$$overlay > stack/manifests/rendered/$$overlay.yaml || exit 1; done

fresh-long:
	$(PYTHON) -m tests.lab.fresh --report docs/reports/fresh.md

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache
	find engine stack hftctl -name '*.so' -delete
