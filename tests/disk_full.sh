#!/usr/bin/env bash
# Tests a full disk: tests/disk_full.sh BINARY. The data directory is a tmpfs of a few MiB. Mounting it needs root.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "${1:?usage: tests/disk_full.sh BINARY}")"
work="$(mktemp -d)"

cleanup() {
  ! mountpoint -q "$work/data" || umount -l "$work/data"
  rm -rf "$work"
}
trap cleanup EXIT

if [ "$(id -u)" -ne 0 ]; then
  echo "THE FULL DISK IS NOT TESTED: mounting a tmpfs needs root" >&2
  exit 77
fi

run() { # PART SIZE
  mkdir -p "$work/data"
  if ! mount -t tmpfs -o "size=$2" tmpfs "$work/data"; then
    echo "THE FULL DISK IS NOT TESTED: a tmpfs cannot be mounted here" >&2
    exit 77
  fi
  python3 "$here/disk_full.py" "$binary" "$work" "$1"
  umount "$work/data"
  rm -rf "${work:?}"/*
}

run log 24m
run pages 192m
