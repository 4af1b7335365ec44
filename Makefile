# make demo   a meeting on this machine: lab MCU, two bridge points, no hardware needed
# make test   every test but the long ones; peers that this distribution lacks are skipped and counted
# make heavy  the long ones: calls over bad lines, cuts of the line; need root
.PHONY: demo test heavy lint bench line recovery setup fix hwtest
PYTHON := .venv/bin/python

setup:
	@tools/setup demo

demo: setup
	@.venv/bin/bridgepoint demo $(ARGS)

test:
	@tools/setup test
	$(PYTHON) -m pytest -m "not heavy" $(ARGS)

heavy:
	@tools/setup test
	$(PYTHON) -m pytest tests/system -m heavy $(ARGS)

lint:
	@tools/setup test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

fix:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench:
	@tools/setup bench
	$(PYTHON) -m bench.call $(ARGS)

# Calls over bad lines, ours beside those of others (docs/bench.md); needs root. About five minutes a line.
LINES := clean loss2 loss5 burst5 loss10 500kbit
line:
	@tools/setup bench
	@for line in $(LINES); do $(PYTHON) -m bench.line --profile $$line $(ARGS) || exit 1; echo; done

# How soon picture and sound are back after cuts, a new address, an MCU's restart (docs/recovery.md); needs root.
recovery:
	@tools/setup test
	$(PYTHON) -m bench.recovery $(ARGS)

hwtest:
	@tools/setup test
	$(PYTHON) -m pytest hwtests $(ARGS)
