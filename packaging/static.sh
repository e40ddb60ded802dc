#!/usr/bin/env bash
# Builds the program as one file that needs nothing of the machine it runs on, and prints where it lies:
#   packaging/static.sh
# The C library is glibc, linked in. Name lookups work without its shared files: since glibc 2.34 /etc/hosts and DNS are
# part of the library itself; only other sources of /etc/nsswitch.conf (LDAP and the like) would need them.
# With musl, where its target is installed (rustup target add x86_64-unknown-linux-musl, and musl-gcc for the C parts):
#   MSGCUBE_TARGET=x86_64-unknown-linux-musl packaging/static.sh
# The profile is `dist`, which compiles slowly and runs quickly. MSGCUBE_PROFILE=release, or dev, tries the scripts sooner.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${MSGCUBE_PROFILE:-dist}"
target="${CARGO_TARGET_DIR:-target}"
usual="$target/${MSGCUBE_TARGET:+$MSGCUBE_TARGET/}${profile/#dev/debug}/msgcube"
# Says the same as .cargo/config.toml, which cargo does not read then.
[ -z "${RUSTFLAGS:-}" ] || export RUSTFLAGS="$RUSTFLAGS --cfg getrandom_backend=\"linux_getrandom\""

# The usual program gets its place back afterwards.
mkdir -p "$target/static"
[ ! -e "$usual" ] || ln -f "$usual" "$target/static/usual"
build=(--profile "$profile" --locked --package msgcube --bin msgcube)
[ -z "${MSGCUBE_TARGET:-}" ] || build+=(--target "$MSGCUBE_TARGET")
# Only the last step, linking, differs from the usual build: what that has compiled is used again. No symbols in what is
# handed out.
cargo rustc "${build[@]}" -- -C target-feature=+crt-static -C strip=symbols >&2
binary="$target/static/msgcube"
cp "$usual" "$binary"
[ ! -e "$target/static/usual" ] || mv -f "$target/static/usual" "$usual"

# A loader named in the file would have to be there at run time.
if readelf -lW "$binary" | grep -q INTERP; then
  echo "$binary asks for a loader: it is not static" >&2
  exit 1
fi
echo "$binary"
