#!/usr/bin/env bash
# Makes the Debian package and prints where it lies: packaging/deb.sh. Wants cargo-deb (cargo install cargo-deb --locked).
set -euo pipefail
cd "$(dirname "$0")/.."

binary="$(packaging/static.sh)"
made=packaging/out
rm -rf "$made"
mkdir -p "$made/completions" "$made/units"
cp packaging/msgcube.service "$made/units/"
"$binary" man "$made/man" >&2
"$binary" completions bash >"$made/completions/msgcube"
"$binary" completions zsh >"$made/completions/_msgcube"
"$binary" completions fish >"$made/completions/msgcube.fish"

# The binary is there and has no symbols left.
target="$(basename "$(dirname "$(dirname "$binary")")")"
cargo deb --package msgcube --no-build --no-strip --no-dbgsym --target "$target" --output "$made/" "$@" >&2
ls "$made"/msgcube_*.deb
