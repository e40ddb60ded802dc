#!/usr/bin/env bash
# Builds the program as one static file and prints its path:
#   packaging/static.sh
# glibc is linked in. Name lookups work without its shared files: since glibc 2.34 /etc/hosts and DNS are part of the library
# itself. Only other sources in /etc/nsswitch.conf (such as LDAP) would need them.
# With musl, if its target is installed (rustup target add x86_64-unknown-linux-musl, and musl-gcc for the C parts):
#   MSGCUBE_TARGET=x86_64-unknown-linux-musl packaging/static.sh
# The profile is `dist`: slow to compile, fast to run. Use MSGCUBE_PROFILE=release or dev to test the scripts sooner.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${MSGCUBE_PROFILE:-dist}"
target="${CARGO_TARGET_DIR:-target}"
usual="$target/${MSGCUBE_TARGET:+$MSGCUBE_TARGET/}${profile/#dev/debug}/msgcube"
# The same setting as in .cargo/config.toml, which cargo ignores if RUSTFLAGS is set.
[ -z "${RUSTFLAGS:-}" ] || export RUSTFLAGS="$RUSTFLAGS --cfg getrandom_backend=\"linux_getrandom\""

# Saves the usual program, which may be without that feature. It is restored afterwards.
mkdir -p "$target/static"
[ ! -e "$usual" ] || ln -f "$usual" "$target/static/usual"
# With the store that several processes share: who installs a package has no compiler to add it later.
build=(--profile "$profile" --locked --package msgcube --bin msgcube --features clickhouse)
[ -z "${MSGCUBE_TARGET:-}" ] || build+=(--target "$MSGCUBE_TARGET")
# Only linking differs from the usual build, so its compiled crates are used again. The result has no symbols.
cargo rustc "${build[@]}" -- -C target-feature=+crt-static -C strip=symbols >&2
binary="$target/static/msgcube"
cp "$usual" "$binary"
[ ! -e "$target/static/usual" ] || mv -f "$target/static/usual" "$usual"

# A file that names a loader is not static.
headers="$(readelf -lW "$binary")"
if [[ "$headers" == *INTERP* ]]; then
  echo "$binary asks for a loader: it is not static" >&2
  exit 1
fi
echo "$binary"
