# Everything runs from here: `make` lists the targets. Only Go, make and a C compiler must be installed by hand; see
# CONTRIBUTING.md.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps build demo dev test lint bench histories fuzz mutants soak ci clean

GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The tests of one run share one PostgreSQL, one RabbitMQ and one Temporal server: more tests at once would only wait
# for those. A cached result says nothing about them, so there are none (-count=1). TESTFLAGS adds flags of one run.
TEST_DEFAULTS = -count=1 -timeout 20m -p 2 -parallel 4
PKG ?= ./...
TESTFLAGS ?=

# The packages whose own tests have to prove all that they decide.
PURE = ./policy ./proof ./semaphore

# Finds benchmarks and fuzz targets.
SEARCH = grep -r --include='*_test.go' --exclude-dir=devenv --exclude-dir=tools
BENCH ?= .
FUZZTIME ?= 30s

# How many inputs a whole test run tries on each fuzz target; a run of some packages does not fuzz. At the end of a time, go test can
# report a failure of its own ("context deadline exceeded").
TEST_FUZZTIME = 300x
AGAIN = $(MAKE) # a recipe that names MAKE itself would run with make -n, too

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install PostgreSQL and RabbitMQ (Debian packages) and build the development Temporal server
	@scripts/deps.sh

build: ## Build bin/attune
	$(GO) build -buildvcs=false -ldflags '-X github.com/attune-go/attune/internal/cli.version=$(VERSION)' -o bin/attune ./cmd/attune

demo: deps build ## Run a small real load through every part and check the result
	bin/attune demo

dev: deps build ## Start the services and attune with the demo pack on this machine, until interrupted
	bin/attune dev --packs packs/demo

test: deps ## Run the tests on real services [PKG=./worker/... TESTFLAGS="-run TestClaim"]
	@[ "$$($(GO) env CGO_ENABLED)" = 1 ] || echo 'test: no C compiler found, so no package is tested with the race detector'
	@status=0; \
	$(TOOL) gotestsum --format standard-quiet --raw-command -- tools/gotest.sh '$(TEST_DEFAULTS) $(TESTFLAGS)' $(PKG) || status=$$?; \
	$(GO) run ./devenv/testenv/await || status=1; \
	[ '$(PKG)' != ./... ] || $(AGAIN) --no-print-directory fuzz FUZZTIME=$(TEST_FUZZTIME) || status=1; \
	exit $$status

lint: ## Check formatting, go vet, golangci-lint and the determinism of workflows
	@unformatted=$$(gofmt -l .); \
	[ -z "$$unformatted" ] || { printf 'not formatted, run gofmt -w on:\n%s\n' "$$unformatted"; exit 1; }
	$(GO) vet ./...
	cd devenv/temporal && $(GO) vet ./...
	$(TOOL) golangci-lint run ./...
	$(TOOL) workflowcheck -config tools/workflowcheck.yaml -test=false ./workflows/...

bench: deps ## Run the benchmarks [BENCH=Grant TESTFLAGS=-short]
	@packages=$$($(SEARCH) -l '^func Benchmark' . | xargs -r -n 1 dirname | sort -u); \
	[ -n "$$packages" ] || { echo 'bench: no benchmark found'; exit 1; }; \
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 3h -p 1 $(TESTFLAGS) $$packages

histories: deps ## Record workflows/testdata/histories anew, after a change of a workflow's logic
	$(GO) test ./workflows -run '^TestRecordHistories$$' -record -count=1 -timeout 20m

fuzz: ## Fuzz every target for a while [FUZZTIME=30s]
	@$(SEARCH) -oE '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file function; do \
		echo "fuzz: $${function#func } in $${file%/*}"; \
		$(GO) test "$${file%/*}" -run '^$$' -fuzz "^$${function#func }\$$" -fuzztime $(FUZZTIME) || exit 1; \
	done

mutants: ## Change one operator after the other, and expect a test to fail [PKG=./semaphore]
	nice $(GO) run ./devenv/mutants $(if $(filter ./...,$(PKG)),$(PURE),$(PKG))

soak: deps ## Run the long forms of the long proofs, for hours [PROOF="changes kills"]
	nice tools/soak.sh $(PROOF)

ci: lint test ## What a change must pass

clean: ## Remove what was built and the data of `attune dev`
	rm -rf bin .attune
