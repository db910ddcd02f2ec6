# Two commands are all one needs after a clone: make demo, make test.
# Both install what is missing first (scripts/install.sh says what).

# opusfile is a library of the binding that we do not use.
GO    ?= go
TAGS  := -tags nolibopusfile
TOOLS := $(CURDIR)/.cache/bin

export MIXDOWN_TOOLS := $(TOOLS)

.PHONY: demo run build test soak bench fuzz lint install

build: install
	$(GO) build $(TAGS) -o mixdown ./cmd/mixdown

demo: build
	./mixdown demo

run: build
	./mixdown serve

# Everything, real browser and real S3 server included.
test:
	scripts/install.sh test
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	$(GO) vet $(TAGS) ./...
	$(GO) test $(TAGS) -race -shuffle=on -timeout 25m ./...

# The long ones.
soak:
	scripts/install.sh test
	MIXDOWN_SOAK=1 $(GO) test $(TAGS) -race -timeout 3h ./...

# Prints its tables and writes bench.json.
bench: install
	$(GO) run $(TAGS) ./cmd/mixdown/bench -out bench.json

# Ten seconds for each fuzz target; FUZZTIME=10m for a night.
FUZZTIME ?= 10s
fuzz: install
	scripts/fuzz.sh $(FUZZTIME)

lint: install
	scripts/lint.sh

install:
	@scripts/install.sh
