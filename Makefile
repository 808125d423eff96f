# gptoss-operator. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GPTOSS_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gptoss-operator
KUBECTL      ?= kubectl
FUZZ_TIME    ?= 30s
IMAGE_TAG    := dev
export GPTOSS_CACHE

GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
TOOL     := go tool -modfile=$(CURDIR)/hack/tools/go.mod
MODULES  := hack/cluster hack/demo hack/demo-model hack/tokenizer-check test/conformance/golang test/page
IMAGES   := bin/gptoss-operator.tar bin/gptoss-server.tar

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "; printf "Usage: make TARGET\n"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## Remove what was built here (the cache stays; see cluster-clean).
	rm -rf bin

##@ Try it

.PHONY: demo
demo: build bin/cluster bin/demo ## Local Kubernetes, operator, model, a streamed answer: all of it.
	@bin/demo up

.PHONY: demo-down
demo-down: bin/cluster bin/demo ## Stop everything that `make demo` started.
	@bin/demo down

.PHONY: demo-eval
demo-eval: ## Ask the demo model its held-out questions and count the right answers (docs/demo-model.md).
	cd hack/demo-model && go run . --wrong

.PHONY: run-server
run-server: build ## Only the server with the demo model, on http://127.0.0.1:8000, no key.
	bin/gptoss-server --model demo --host 127.0.0.1 --log-format text

##@ Develop

.PHONY: build
build: ## Build gptoss-operator, gptoss-server and kubectl-gptoss into bin/.
	@mkdir -p bin
	$(GO_BUILD) -o bin/ ./cmd/...

.PHONY: test
test: bin/cluster ## All tests with the race detector, the operator's against a real kube-apiserver.
	KUBEBUILDER_ASSETS="$$(bin/cluster assets)" go test -race -timeout 20m ./...
	# The race detector leaves time for a few samples only of what these try.
	go test ./engine/demo ./engine/grammar/schema
	go test -run TestGenerationsValidate ./server
	@for m in $(MODULES); do echo "module $$m"; (cd $$m && go test ./...); done

.PHONY: test-arm64
test-arm64: ## The kernels' tests on emulated arm64 processors (fetches QEMU once, without root).
	hack/test-arm64

.PHONY: test-redis
test-redis: ## Limits that servers share through a real Redis, which dies meanwhile (fetches it once, without root).
	hack/test-redis

.PHONY: test-page
test-page: build ## The chat page in a headless Chromium (fetched once, without root, where none is installed).
	browser=$$(hack/chromium) && cd test/page && CHROMIUM="$$browser" go test -tags e2e -count 1 -timeout 10m ./...

.PHONY: lint
lint: ## Run the linters.
	$(TOOL) golangci-lint run ./...
	@for m in $(MODULES); do echo "module $$m"; (cd $$m && $(TOOL) golangci-lint run --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: fmt
fmt: ## Format the code.
	$(TOOL) golangci-lint fmt ./... $(MODULES:%=%/...)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZ_TIME (30s).
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
		for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' $$f); do \
			echo "$$(dirname $$f) $$t"; go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZ_TIME) ./$$(dirname $$f); done; done

.PHONY: bench
bench: ## Run the benchmarks.
	go test -run '^$$' -bench . -benchmem ./engine/... ./server/...

.PHONY: bench-engine
bench-engine: build ## Measure the engine (MODEL, or a synthetic gpt-oss-20b), beside the programs of PEERS; see docs/performance.md.
	go run ./hack/engine-bench --server bin/gptoss-server $(if $(MODEL),--model "$(MODEL)") $(if $(GGUF),--gguf "$(GGUF)") \
		$(if $(PEERS),--peers "$(PEERS)") --json bin/engine-bench.json $(BENCH_FLAGS)

##@ Generate

.PHONY: generate
generate: ## Regenerate deepcopy, CRD, RBAC, the chart's copies and docs/api.md.
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=gptoss-operator-manager paths=./controllers/... output:rbac:dir=config/rbac
	cp config/crd/bases/gptoss.dev_gptossmodels.yaml config/rbac/role.yaml charts/gptoss-operator/files/
	go run ./hack/api-reference

.PHONY: verify
verify: generate lint ## Regenerate, tidy and lint; fail on any difference.
	go mod tidy -diff
	@for m in $(MODULES) hack/cluster/kube; do echo "tidy $$m"; (cd $$m && go mod tidy -diff); done
	$(TOOL) helm lint --strict charts/gptoss-operator
	@git diff --exit-code --stat || { echo "verify: generated files differ; run 'make generate' and commit"; exit 1; }
	@test -z "$$(git status --porcelain)" || { git status --short; echo "verify: the tree is not clean"; exit 1; }

##@ Cluster

.PHONY: cluster-up
cluster-up: bin/cluster ## Start the local Kubernetes (Linux, root; builds it the first time).
	bin/cluster up

.PHONY: cluster-down
cluster-down: bin/cluster ## Stop it and remove everything of it.
	bin/cluster down

.PHONY: cluster-clean
cluster-clean: cluster-down ## Also remove the built Kubernetes and its build cache.
	rm -rf "$(GPTOSS_CACHE)"

.PHONY: install
install: ## Install the CRD with your kubeconfig.
	$(KUBECTL) apply -k config/crd

.PHONY: uninstall
uninstall: ## Remove the CRD, and with it every GptOssModel.
	$(KUBECTL) delete -k config/crd --ignore-not-found

.PHONY: deploy
deploy: ## Install CRD and operator with your kubeconfig.
	$(KUBECTL) apply -k config/default

.PHONY: undeploy
undeploy: ## Remove CRD and operator.
	$(KUBECTL) delete -k config/default --ignore-not-found

.PHONY: e2e
e2e: build bin/cluster bin/demo test-redis test-page ## End-to-end tests on the local Kubernetes, limits in a real Redis, the chat page in Chromium, real clients.
	go test -tags e2e -count 1 -timeout 25m -v ./test/e2e/...
	go run ./test/conformance --clients node,go

.PHONY: conformance
conformance: build ## Real clients against the server, or against ENDPOINT with KEY (and MODEL); CONFORMANCE_FLAGS="--help" tells more.
	@CONFORMANCE_KEY="$(KEY)" go run ./test/conformance $(if $(ENDPOINT),--endpoint "$(ENDPOINT)") $(if $(MODEL),--model "$(MODEL)") $(CONFORMANCE_FLAGS)

.PHONY: soak
soak: build ## Minutes of load, leaving clients and rotating keys; SOAK_FLAGS="--help" tells more.
	go run ./test/soak --json bin/soak.json $(SOAK_FLAGS)

##@ Release

.PHONY: images
images: build bin/cluster $(IMAGES) ## Image tarballs without a docker daemon (containerd and docker import them).

bin/gptoss-%.tar: bin/gptoss-% bin/cluster
	bin/cluster image --out $@ --ref gptoss.dev/gptoss-$*:$(IMAGE_TAG) --binary $<

.PHONY: docker-build
docker-build: ## The same images with docker.
	docker build --build-arg VERSION=$(VERSION) --target operator -t gptoss.dev/gptoss-operator:$(IMAGE_TAG) .
	docker build --build-arg VERSION=$(VERSION) --target server -t gptoss.dev/gptoss-server:$(IMAGE_TAG) .

.PHONY: chart
chart: ## Package the Helm chart into bin/.
	$(TOOL) helm package charts/gptoss-operator -d bin

# Tools of the repository: always handed to the go command, which knows whether anything changed.
.PHONY: bin/cluster bin/demo
bin/cluster:
	@mkdir -p bin && cd hack/cluster && CGO_ENABLED=0 go build -o ../../bin/cluster .

bin/demo:
	@mkdir -p bin && cd hack/demo && CGO_ENABLED=0 go build -o ../../bin/demo .
