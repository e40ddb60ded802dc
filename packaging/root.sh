#!/usr/bin/env bash
# Makes the root of the container: packaging/root.sh FOLDER. The Containerfile and the tests use it.
set -euo pipefail
cd "$(dirname "$0")/.."

root="${1:?usage: packaging/root.sh FOLDER}"
owner="${MSGCUBE_OWNER:-65532}"
install -D -m 755 "$(packaging/static.sh)" "$root/usr/bin/msgcube"
install -D -m 644 packaging/msgcube.example.toml "$root/etc/msgcube/msgcube.toml"
install -D -m 644 LICENSE "$root/usr/share/doc/msgcube/LICENSE"
# For calls to WeChat: the list of authorities from the Debian package ca-certificates.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
# Volumes inherit the owner of these folders.
install -d -m 700 -o "$owner" -g "$owner" "$root/var/lib/msgcube" "$root/var/lib/msgcube-key"
install -d -m 1777 "$root/tmp"
