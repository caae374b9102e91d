# The two commands that matter: `make demo` and `make test`. `make ci` is what CI runs.
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help demo build release test tools fmt clippy doc bench bench-smoke fuzz-smoke load screenshots page-weights deny ci

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: build-tools ## build and run everything on one machine; says where to click and who can log in
	@echo "Building Passgate (the first time takes a few minutes) ..."
	$(CARGO) build --profile demo --bin passgate
	@./target/demo/passgate demo

release: build-tools ## the optimised binary: target/release/passgate
	$(CARGO) build --release --bin passgate

test: tools ## install what the tests need and run all of them
	$(CARGO) test --doc
	$(CARGO) test --lib --bins --tests

.PHONY: build-tools
build-tools:
	@scripts/install-tools.sh build

tools: ## install what the tests need (Debian)
	@scripts/install-tools.sh test

fmt:
	$(CARGO) fmt --check

clippy: build-tools
	$(CARGO) clippy --all-targets -- -D warnings

doc: build-tools
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

bench: build-tools ## micro benchmarks of the hot path
	$(CARGO) bench --bench hot_path

bench-smoke: build-tools ## every benchmark once, to see that it works
	$(CARGO) test --bench hot_path --bench load

load: ## CPU per request beside nginx and a bare Pingora (takes some minutes); prints the table
	@scripts/install-tools.sh load
	$(CARGO) build --release --bin passgate --bench load
	$(CARGO) bench --bench load

fuzz-smoke: build-tools ## the fuzz targets' properties, with generated inputs
	$(CARGO) test --lib replay_

deny: ## licences, advisories and bans (needs cargo-deny)
	$(CARGO) deny check

screenshots: ## make docs/screenshots/ anew
	@scripts/install-tools.sh screenshots
	PASSGATE_SCREENSHOTS=docs/screenshots $(CARGO) test --test behaviour browser -- --skip browser_axe --skip browser_flows
	pngquant --force --ext .png --strip --speed 1 docs/screenshots/*.png

page-weights: tools ## write the table of docs/pages.md anew
	PASSGATE_PAGE_WEIGHTS=1 $(CARGO) test --test behaviour page_weight

ci: fmt clippy doc bench-smoke fuzz-smoke test ## what CI runs
