# The commands of the project. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
# Installs the same locked files as pip, in seconds instead of minutes.
UV_VERSION := 0.13.9
# In how many processes the tests run; 0 is one after another.
PROCESSES ?= 0
# In the order of their folders: else the files with the fewest tests, which are the longest, would all come last.
SIDE_BY_SIDE = --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
# The Pulumi stack that `make stack`, `up`, `down`, `status` and `upload` use.
STACK ?= local
DATA ?=
SERVICE ?=
SECRET ?=
# Where backups go to and come from; BACKUP is one by its name, PARTS are those of it that are put back.
TO ?=
FROM ?=
BACKUP ?=
KEEP ?=
PARTS ?=
INFRA = PYTHONPATH=pulumi $(RUN) -m infra
# What must hold of every resource on AWS, which Pulumi asks before it creates anything.
RULES = $(if $(filter aws aws-%,$(STACK)),--policy-pack pulumi/policy)
PULUMI = PULUMI_CONFIG_PASSPHRASE_FILE="$${PULUMI_CONFIG_PASSPHRASE_FILE:-$$PWD/.local/pulumi/passphrase}" pulumi

.DEFAULT_GOAL := help
.PHONY: help setup run serve test test-long coverage lint format bench lock clean stack doctor policy up down check cost sleep wake status token rotate logs upload backup restore compose secrets preview sbom audit notebook notebook-page

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo
	@echo "  Settings are environment variables, .env or arguments: make run DATA_URI=../my-xrays (.env.example lists all)"

setup: $(VENV)/.installed ## Install the locked versions into .venv

$(VENV)/.installed: requirements.lock
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else "Python %d.%d found, 3.11 or 3.12 needed: make PYTHON=/path/to/python3.11" % v)'
	"$(PYTHON)" -m venv $(VENV)
	$(RUN) -m pip install --quiet uv==$(UV_VERSION)
	$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(RUN) --require-hashes -r requirements.lock
	@touch $@

run: setup ## Train on DATA_URI, promote, and serve the page on http://localhost:8080 until Ctrl-C
	exec $(RUN) -m serve --train

serve: setup ## Serve the model in Production, and MLflow's pages
	exec $(RUN) -m serve

stack: setup ## Prepare the Pulumi stack STACK: state in .local/pulumi, a passphrase, its secrets
	@$(INFRA) stack $(STACK)

doctor: setup ## Check what this machine or STACK=aws lacks, and how to fix it, before anything is created
	@$(INFRA) doctor $(STACK)

policy: setup ## Write the policy of who deploys STACK=aws, instead of AdministratorAccess
	@$(INFRA) policy $(STACK)

up: stack ## Build the images and start the stack: in Docker on this machine, or STACK=aws
	@$(INFRA) doctor $(STACK)
	$(PULUMI) up --stack $(STACK) --yes $(RULES)
	@$(INFRA) check $(STACK)

preview: stack ## Show what `make up` would change, and check it against the rules
	$(PULUMI) preview --stack $(STACK) --diff $(RULES)

check: ## Check that a stack on AWS runs the new version and was not rolled back
	@$(INFRA) check $(STACK)

down: ## Stop the stack and keep its data (to delete them: `pulumi config set keepData false` and `make up` first)
	$(PULUMI) destroy --stack $(STACK) --yes
	@$(INFRA) tidy $(STACK)

cost: setup ## Show what STACK=aws costs a month, before anything is created
	@PYTHONPATH=pulumi $(RUN) -m infra.commands.cost $(STACK)

sleep: setup ## Stop what STACK=aws pays by the hour, and keep its data: containers and database
	@$(INFRA) sleep $(STACK)

wake: setup ## Start it again, and wait until it runs
	@$(INFRA) wake $(STACK)

status: setup ## Show what runs in the stack, its health and its addresses
	@$(INFRA) status $(STACK)

logs: setup ## Follow the log of a service: make logs SERVICE=webapp
	@$(INFRA) logs $(STACK) "$(SERVICE)"

upload: setup ## Copy a dataset into the stack's bucket: make upload DATA=FOLDER
	@$(INFRA) upload $(STACK) "$(DATA)"

token: setup ## Print the exports for the token of Ray's jobs API: eval "$(make token)"
	@$(INFRA) token $(STACK)

rotate: setup ## Make another value of a secret, and restart who uses it: make rotate SECRET=ray-token
	@$(INFRA) rotate $(STACK) "$(SECRET)"
	@if command -v pulumi >/dev/null; then $(MAKE) --no-print-directory up STACK=$(STACK); fi

# Without STACK, it is what `make run` and `make serve` keep here.
backup: setup ## Back up database, files, state and history to TO=FOLDER or s3://…, of STACK=local|aws or of `make run`; KEEP=N
ifeq ($(origin STACK),file)
	@$(RUN) -m ray_jobs.backup --to "$(TO)" $(if $(KEEP),--keep $(KEEP))
else
	@$(INFRA) backup $(STACK) "$(TO)" "$(KEEP)"
endif

restore: setup ## Put back the newest backup in FROM=FOLDER or s3://…, or BACKUP=NAME; what is there is backed up first
ifeq ($(origin STACK),file)
	@$(RUN) -m ray_jobs.restore --from "$(FROM)" $(if $(BACKUP),--backup $(BACKUP)) $(if $(PARTS),--only $(PARTS))
else
	@$(INFRA) restore $(STACK) "$(FROM)" "$(BACKUP)" "$(PARTS)"
endif

compose: setup ## Generate compose/docker-compose.yaml from the topology
	@$(INFRA) compose

secrets: ## Create the missing secrets of the local stack in compose/secrets/
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 10) else "Python %d.%d found, 3.10 or newer needed: make secrets PYTHON=/path/to/python3.11" % v)'
	@PYTHONPATH=pulumi "$(PYTHON)" -m infra.local.secrets

test: lint ## Check a change: style, types, and all tests except the long ones; PROCESSES=2 runs them side by side
	$(RUN) -m pytest -m "not long" $(SIDE_BY_SIDE)

test-long: setup ## Run the long tests: soaks, fault schedules, fuzzing
	$(RUN) -m pytest -m long

coverage: setup ## Run the tests of `make test`, and show which lines they reach; fails below the floor
	$(RUN) -m pytest -m "not long" $(SIDE_BY_SIDE) --cov

lint: setup ## Style, types, and which room may import which
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	PYTHONPATH=pulumi $(VENV)/bin/lint-imports --no-cache --no-logo
	$(VENV)/bin/mypy

format: setup ## Fix the style automatically where possible
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

notebook: setup ## Open the training notebook in JupyterLab
	cd notebooks && exec ../$(VENV)/bin/jupyter lab train.ipynb

notebook-page: setup ## Run the notebook on generated X-rays, and write what it shows to docs/notebook.md
	$(RUN) -m notebooks.render

bench: setup ## Measure all that is asked of speed beside its peers, in about 20 minutes; DATA=FOLDER for X-rays of your own
	$(RUN) -m benchmarks $(if $(DATA),--data "$(DATA)")

sbom: setup ## List what the lock and the built images consist of (CycloneDX), in .local/sbom
	@$(INFRA) sbom

audit: setup ## Look up known vulnerabilities of the lock and the built images
	@$(INFRA) audit

lock: setup ## Update requirements.lock from pyproject.toml
	$(RUN) -m pip install --quiet uv==$(UV_VERSION)
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-header --no-annotate --upgrade pyproject.toml -o requirements.lock

clean: ## Remove what was installed, trained and cached, but keep the state and secrets of stacks
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
	find .local -mindepth 1 -maxdepth 1 ! -name pulumi -exec rm -rf {} + 2>/dev/null || true
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
