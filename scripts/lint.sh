#!/bin/sh
# Format, vet and the linters of .golangci.yml.
set -eu
cd "$(dirname "$0")/.."
unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	echo "not gofmt'ed: $unformatted" >&2
	exit 1
fi
go vet -tags nolibopusfile ./...
tool=.cache/bin/golangci-lint
if [ ! -x "$tool" ]; then
	GOBIN="$PWD/.cache/bin" GOFLAGS='' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
fi
"$tool" run --build-tags nolibopusfile ./...
