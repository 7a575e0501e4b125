# Two commands do everything on a fresh machine with Python >= 3.11: `make demo` and `make test`.
UV := scripts/uv
RUN := $(UV) run --locked --quiet

.PHONY: help demo demo-naive test check format bench docs kind-up kind-demo kind-down

help: ## Say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## Restart three proxies under live streams; none is dropped
	@$(UV) sync --locked --quiet
	@$(RUN) lastcall demo

demo-naive: ## The same restart the ordinary way; streams are dropped
	@$(UV) sync --locked --quiet
	@$(RUN) lastcall demo --naive

test: ## Set up and run every test: checks, units, integration on each Python, kind
	@scripts/test

check: ## Format, lint, types, layers, lock, coverage of the pure rings
	@scripts/check

format: ## Format the code
	@$(RUN) ruff format . && $(RUN) ruff check --fix .

docs: ## Write the generated pages anew
	@$(RUN) python scripts/generate_docs.py && $(RUN) python scripts/generate_translation.py \
		&& $(RUN) python scripts/generate_crds.py

bench: ## Measure the sidecar beside nginx and no proxy
	@$(UV) sync --locked --quiet
	@$(RUN) python -m benchmarks $(ARGS)

kind-up: ## A kind cluster with the gateway in it
	@scripts/kind-up

kind-demo: ## A rolling deploy under live streams on kind, shown
	@scripts/kind-demo

kind-down: ## Remove the kind cluster
	@scripts/kind-down
