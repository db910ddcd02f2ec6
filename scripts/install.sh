#!/bin/sh
# Installs what this repository needs beyond Go, on Debian 12 (bookworm) and 13
# (trixie), and nothing that is there already.
#
#	scripts/install.sh         what building and `make demo` need
#	scripts/install.sh test    also what `make test` needs
#
# It changes nothing but Debian packages (as root, or through sudo) and .cache
# in the repository. It is quick when all is there: no network is touched then.
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
versitygw=v1.8.0 # the S3 server of the tests
livekit=v1.11.0 # the LiveKit server of the tests; newer ones replace modules and cannot be installed so
mediamtx=v1.13.0 # their WHIP and WHEP server

die() {
	echo "install: $*" >&2
	exit 1
}

case "${1:-demo}" in
demo | test) what=${1:-demo} ;;
*) die "unknown argument '$1', want nothing or 'test'" ;;
esac

missing=
program() { command -v "$1" >/dev/null || missing="$missing $2"; } # COMMAND PACKAGE
library() { dpkg -s "$1" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $1"; }

packages() {
	program gcc gcc
	program pkg-config pkgconf
	library libc6-dev
	library libopus-dev
	# Only a build without the tag nolibopusfile links it: a plain `go build`.
	library libopusfile-dev
	library ca-certificates
	# The pages are built with them; Debian 12 has Node.js 18.
	program node nodejs
	program npm npm
	if [ "$what" = test ]; then
		program age age
		program chromium chromium
		program ffmpeg ffmpeg
		program mkfs.ext4 e2fsprogs
		program openssl openssl
		program redis-server redis-server
		program opusinfo opus-tools
		program sox sox
		library libsox-fmt-all
	fi
}

install_packages() {
	as_root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "these packages are missing, and there is no sudo; as root: apt-get install$missing"
		as_root="sudo"
	fi
	echo "install: Debian packages:$missing"
	# With old lists this fails on packages that were replaced since, hence the
	# second try.
	apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install"
	# shellcheck disable=SC2086 # words are packages
	$apt $missing >/dev/null 2>&1 && return
	$as_root apt-get -qq update || echo "install: apt-get update had errors" >&2
	# shellcheck disable=SC2086
	$apt $missing >/dev/null || die "could not install:$missing"
}

# With an older Go, from 1.21 on, the go command may fetch the right one by
# itself; it is asked in the repository, where go.mod says what that is.
check_go() {
	command -v go >/dev/null || die "Go is missing; go.mod says which one: https://go.dev/dl"
	(cd "$repo" && go version >/dev/null) || die "this Go cannot build the repository; go.mod says which one can: https://go.dev/dl"
}

install_versitygw() {
	bin="$repo/.cache/bin"
	go version -m "$bin/versitygw" 2>/dev/null | grep -q "versity/versitygw[[:space:]]$versitygw" && return
	echo "install: versitygw $versitygw"
	mkdir -p "$bin"
	# Outside of the repository: its go.mod has no say in this.
	(cd / && CGO_ENABLED=0 GOFLAGS= GOBIN="$bin" go install "github.com/versity/versitygw/cmd/versitygw@$versitygw") ||
		die "could not build versitygw $versitygw"
}

# The module calls its program "server". It takes some minutes, once.
install_livekit() {
	bin="$repo/.cache/bin"
	go version -m "$bin/livekit-server" 2>/dev/null | grep -q "livekit/livekit-server[[:space:]]$livekit" && return
	echo "install: livekit-server $livekit"
	build=$(mktemp -d)
	(cd / && CGO_ENABLED=0 GOFLAGS= GOBIN="$build" go install "github.com/livekit/livekit-server/cmd/server@$livekit") ||
		die "could not build livekit-server $livekit"
	mkdir -p "$bin"
	mv "$build/server" "$bin/livekit-server"
	rm -rf "$build"
}

# The module lacks two files that its makers generate: the version, and the
# script of its HLS pages, which no test opens. Its go.mod has replacements, so
# it is built as what it is, a module of its own.
install_mediamtx() {
	bin="$repo/.cache/bin"
	[ "$("$bin/mediamtx" --version 2>/dev/null)" = "$mediamtx" ] && return
	echo "install: mediamtx $mediamtx"
	mkdir -p "$bin"
	build=$(mktemp -d)
	(
		cd / && dir=$(GOFLAGS= go mod download -json "github.com/bluenviron/mediamtx@$mediamtx" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') &&
			cp -R "$dir/." "$build" && chmod -R u+w "$build" && cd "$build" &&
			echo "$mediamtx" >internal/core/VERSION && : >internal/servers/hls/hls.min.js &&
			CGO_ENABLED=0 GOFLAGS= go build -o "$bin/mediamtx" .
	) || die "could not build mediamtx $mediamtx"
	rm -rf "$build"
}

command -v dpkg >/dev/null && command -v apt-get >/dev/null ||
	die "this is no Debian; install by hand what stands under packages() in $0"
packages
[ -z "$missing" ] || install_packages
check_go
if [ "$what" = test ]; then
	install_versitygw
	install_mediamtx
	install_livekit
fi
