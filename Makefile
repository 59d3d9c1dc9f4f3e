# How the line is set up and run. Needs git, make and python3 (3.11 or newer), no root; the rest is fetched into the
# checkout (.tools, .venv, backend/static/vendor) and what is made at run time is in var. `make help` lists the targets.

PYTHON ?= python3
SETUP = $(PYTHON) -m backend.setup.environments
WEB = .venv/web/bin/python

export PYTHONUTF8 = 1
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.PHONY: help run restart test lint bench chaos audit call setup migrate train lock clean web bot browser check translations starter

help:       ## this list
	@sed -n 's/^\([a-z]*\):.*## */  make \1\t/p' Makefile | expand -t 18

run: web check setup migrate starter train  ## set up what is missing, start everything, print the addresses; Ctrl-C stops it
	@exec $(WEB) -m backend.setup.start

restart: web train  ## train if needed, then restart the bot's processes one after the other; no call notices (BOT_WORKERS=2)
	@$(WEB) -m backend.setup.restart

test: setup lint train  ## lint and all tests; ARGS=tests/cases for a part
	@$(SETUP) chromium
	$(WEB) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: web  ## ruff, mypy, the directions of imports and the licences of packages
	$(WEB) -m ruff check
	$(WEB) -m ruff format --check
	$(WEB) -m mypy
	.venv/web/bin/lint-imports
	$(WEB) -m backend.setup.licences

audit: web  ## ask the advisory database about the packages of both environments
	@$(WEB) -m backend.setup.audit

bench: setup train  ## all measurements, or ONLY=<name>; results in build/bench
	@$(WEB) -m tests.bench $(ONLY)

chaos: setup train  ## storms: processes killed, cut off and starved while people call; PEOPLE=500, SEED=… repeats one
	@$(WEB) -m tests.chaos $(ONLY)

call: web  ## telephone the running line from this terminal
	@$(WEB) -m ivr.phone.terminal

setup: web bot browser translations  ## the environments, browser libraries and translations, no more

migrate: web  ## bring the database to the newest tables
	@$(WEB) -m alembic -c backend/migrations/alembic.ini upgrade head

train: bot  ## train the bot, if what it learns from has changed
	@$(PYTHON) -m backend.setup.train

lock:       ## write requirements.*.lock from requirements.txt, and the browser libraries' lock file
	@$(SETUP) lock
	cd backend/static && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved

clean:      ## remove what setup, training and tests made; the database and settings in var stay
	rm -rf .venv .tools build backend/static/vendor var/models var/rasa-cache var/tmp .mypy_cache .ruff_cache .pytest_cache

web bot browser:
	@$(SETUP) $@

check: web
	@$(WEB) -m backend.setup.start --check

translations: web
	@! [ -d backend/translations ] || $(WEB) -m babel.messages.frontend -q compile -d backend/translations

starter: web
	@$(WEB) -m backend.load_starter
