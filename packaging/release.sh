#!/usr/bin/env bash
# Makes all files of a release in packaging/out/release/, with their checksums: packaging/release.sh
#   msgcube_VERSION_ARCH.deb             the Debian package
#   msgcube-VERSION-linux-ARCH.tar.gz    the program (it needs no library), with licence and example configuration
#   msgcube-VERSION-container.tar        the root of the container image, for `podman import` or `docker import`
set -euo pipefail
cd "$(dirname "$0")/.."

deb="$(packaging/deb.sh)"
binary="$(packaging/static.sh)"
version="$("$binary" --version | cut -d ' ' -f 2)"
architecture="$(uname -m)"
release=packaging/out/release
mkdir -p "$release"
mv "$deb" "$release/"

name="msgcube-$version-linux-$architecture"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
install -D -m 755 "$binary" "$work/$name/msgcube"
install -m 644 LICENSE CHANGELOG.md README.md README.zh.md COMPATIBILITY.md packaging/msgcube.example.toml \
  packaging/msgcube.service packaging/msgcube.socket "$work/$name/"
install -D -m 644 -t "$work/$name/docs" docs/*.md
install -D -m 644 -t "$work/$name/prometheus" packaging/prometheus/*.yml
install -D -m 644 -t "$work/$name/grafana" packaging/grafana/*.json
tar -C "$work" --owner=0 --group=0 -czf "$release/$name.tar.gz" "$name"

packaging/root.sh "$work/root" >&2
tar -C "$work/root" -cf "$release/msgcube-$version-container.tar" .

(cd "$release" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
echo "$release"
