# Two commands are all one needs after a clone: make demo, make test.
# Both install what is missing first (scripts/install.sh says what).

# opusfile is a library of the binding that we do not use.
GO    ?= go
TAGS  := -tags nolibopusfile
TOOLS := $(CURDIR)/.cache/bin

export MIXDOWN_TOOLS := $(TOOLS)

.PHONY: demo run build program web test screenshots soak bench fuzz lint install

build: install
	@$(MAKE) --no-print-directory web program

# The demonstration needs no pages, and no network once all is installed.
demo: install
	@$(MAKE) --no-print-directory web || echo "demo: going on without the web pages" >&2
	@$(MAKE) --no-print-directory program
	./mixdown demo

run: build
	./mixdown serve

program:
	$(GO) build $(TAGS) -o mixdown ./cmd/mixdown

# The pages and the JavaScript client, when their sources are newer.
WEB := web/dist/call/index.html
web: $(WEB)
$(WEB): web/node_modules/.package-lock.json $(shell find web -name node_modules -prune -o -name dist -prune -o -name test -prune -o \
	-type f \( -name '*.ts' -o -name '*.tsx' -o -name '*.css' -o -name '*.html' -o -name '*.svg' -o -name '*.mjs' -o -name '*.json' \) ! -name 'client.*' -print)
	cd web && npm run --silent build
web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --silent
	@touch $@

# Everything, real browser and real servers included. What looks at a clock comes
# last and alone.
test:
	scripts/install.sh test
	@$(MAKE) --no-print-directory web
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"
	$(GO) vet $(TAGS) ./...
	$(GO) test $(TAGS) -race -shuffle=on -timeout 60m $$($(GO) list $(TAGS) ./... | grep -v /cmd/mixdown$$)
	$(GO) test $(TAGS) -race -shuffle=on -timeout 60m ./cmd/mixdown

# Each page on a desk and on a phone, into the folder screenshots.
screenshots:
	scripts/install.sh test
	@$(MAKE) --no-print-directory web
	@mkdir -p screenshots
	MIXDOWN_SCREENSHOTS=$(CURDIR)/screenshots $(GO) test $(TAGS) -count=1 -run 'TestPage|TestTutorialPage|TestConsole' ./web ./cmd/mixdown
	@ls screenshots

# The long ones. What measures the machine comes alone, and without the race
# detector, like the eight hours of clocks that drift.
soak:
	scripts/install.sh test
	@$(MAKE) --no-print-directory web
	MIXDOWN_SOAK=1 $(GO) test $(TAGS) -race -timeout 3h $$($(GO) list $(TAGS) ./... | grep -v /cmd/mixdown$$)
	MIXDOWN_SOAK=1 $(GO) test $(TAGS) -timeout 3h -run '^TestDrift$$' ./capture
	MIXDOWN_SOAK=1 $(GO) test $(TAGS) -timeout 3h ./cmd/mixdown

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
