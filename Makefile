# tomada's tasks; plain `make` lists them. Each sets up what it needs by itself, in .venv and nowhere else:
# scripts/set-up says how, and PYTHON=/path/to/python3 chooses the interpreter. Needs git, make and Python 3.11 or newer.

BIN := .venv/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:  # the set-ups share one .venv, and pytest's closing lines belong at the end
.PHONY: help demo test lint docs bench faults simulate format clean core-set-up test-set-up bench-set-up

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: core-set-up  ## run the bank and watch it work
	$(BIN)/tomada demo

test: lint docs  ## everything that must pass: lint, docs, tests with coverage
	rm -f .coverage .coverage.*
	$(BIN)/pytest --cov --numprocesses auto --maxprocesses 4 --dist loadfile
	@$(BIN)/coverage report --include='*/tomada/protocol/*' --fail-under=100 > .venv/.protocol-coverage 2>&1 \
		|| { cat .venv/.protocol-coverage; echo 'src/tomada/protocol must be covered to 100 %'; exit 1; }

lint: test-set-up  ## ruff (rules and format) and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: test-set-up  ## build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

bench: bench-set-up  ## measure against the peers, side by side
	$(BIN)/python -m benchmarks

faults: bench-set-up  ## let things go wrong on purpose, and count what is lost
	$(BIN)/python -m benchmarks.faults

SEEDS ?= 200

simulate: test-set-up  ## client and server in simulated time: SEEDS=N runs N seeds, SEED=N one again, MUTANTS=1 hunts
	@scripts/simulate $(if $(SEED),--seed $(SEED),--seeds $(if $(MUTANTS),2000,$(SEEDS)) $(if $(MUTANTS),--mutants))

format: test-set-up  ## let ruff put right what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove .venv and everything built
	rm -rf .venv build dist docs/_build .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

core-set-up test-set-up bench-set-up:
	@scripts/set-up $(@:-set-up=)
