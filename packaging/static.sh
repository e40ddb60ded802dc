#!/usr/bin/env bash
# Builds the program as one file that needs nothing of the machine it runs on, and prints where it lies:
#   packaging/static.sh
# The C library is glibc, linked in. Name lookups work without its shared files: since glibc 2.34 /etc/hosts and DNS are
# part of the library itself; only other sources of /etc/nsswitch.conf (LDAP and the like) would need them.
# With musl, where its target is installed (rustup target add x86_64-unknown-linux-musl, and musl-gcc for the C parts):
#   MSGCUBE_TARGET=x86_64-unknown-linux-musl packaging/static.sh
set -euo pipefail
cd "$(dirname "$0")/.."

host="$(rustc -vV | sed -n 's/^host: //p')"
target="${MSGCUBE_TARGET:-$host}"
# With --target these flags reach the program only: build scripts and macros must stay loadable.
# getrandom would look for the C library's function at run time, which a static program cannot, and then for /dev/urandom.
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\""
# No symbols in what is handed out, and so no debug information worth making.
export CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=none
cargo build --release --locked --bin msgcube --target "$target" >&2

binary="${CARGO_TARGET_DIR:-target}/$target/release/msgcube"
# A loader named in the file would have to be there at run time.
if readelf -lW "$binary" | grep -q INTERP; then
  echo "$binary asks for a loader: it is not static" >&2
  exit 1
fi
echo "$binary"
