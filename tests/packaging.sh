#!/usr/bin/env bash
# Tests everything under packaging/: tests/packaging.sh. Needs root for chroot and a tmpfs.
#   - the static binary in an empty root: it starts, resolves names and serves; the time of a start
#   - its certificates, with OpenSSL
#   - manual pages and completions, with the programs that read them
#   - the Debian package: installed, upgraded and purged on a temporary copy of the root of this machine
#   - the systemd unit: verified, rated, and its system call filter compared with a trace of the program
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/.." && pwd)"
cd "$root"
work="$(mktemp -d)"
server=
started=$EPOCHREALTIME

cleanup() {
  stop
  ! mountpoint -q "$work/copy/proc" || umount -l "$work/copy/proc"
  ! mountpoint -q "$work/copy" || umount -l "$work/copy"
  ! mountpoint -q "$work/layer" || umount -l "$work/layer"
  rm -rf "$work"
}
trap cleanup EXIT

stop() {
  [ -n "$server" ] || return 0
  kill -TERM "$server" 2>/dev/null || true
  local status=0
  wait "$server" || status=$?
  server=
  return "$status"
}

part() { # NAME...: prints the next part, and how long the last one took
  local now=$EPOCHREALTIME
  [ -z "${name:-}" ] || printf '   %s: %d ms\n' "$name" $(((${now/./} - ${started/./}) / 1000))
  started=$now name="$*"
}

fail() { echo "FAILED: $*" >&2; exit 1; }

if [ "$(id -u)" -ne 0 ]; then
  echo "PACKAGING IS NOT TESTED: chroot and mounts need root" >&2
  exit 77
fi

listening() { # FILE: waits for the address that a server prints to this file
  for _ in $(seq 2000); do
    base="$(sed -n 's|^listening on \(http://[^ ]*\).*|\1|p' "$1")"
    [ -z "$base" ] || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "$work/log"
  fail "no address"
}

account() { # prints an account for a configuration
  cat <<'END'
[[account]]
appid = "wx0123456789abcdef"
secret = "0123456789abcdef0123456789abcdef"
token = "packagingToken"
encoding_aes_key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
require_encryption = true
END
}

part "static build"
binary="$(packaging/static.sh 2>"$work/build")" || { cat "$work/build"; exit 1; }
case "$(ldd "$binary" 2>&1)" in
  *"statically linked"* | *"not a dynamic executable"*) ;;
  *) fail "ldd finds libraries in $binary" ;;
esac
echo "$binary: $(stat -c %s "$binary") bytes"

part "alone in a root"
bare="$work/root"
packaging/root.sh "$bare" 2>>"$work/build"
[ "$(find "$bare" -type f | wc -l)" -eq 4 ] || fail "the root has other files than it should"
printf '127.0.0.1 localhost msgcube.test\n' >"$bare/etc/hosts"
: >"$bare/etc/resolv.conf"
account >>"$bare/etc/msgcube/msgcube.toml"
alone() { chroot --userspec=65532:65532 "$bare" /usr/bin/msgcube "$@"; }
serve=(serve --config /etc/msgcube/msgcube.toml --listen 127.0.0.1:0)
chroot --userspec=65532:65532 "$bare" /usr/bin/msgcube "${serve[@]}" >"$work/out" 2>"$work/log" &
server=$!
listening "$work/out"
alone send --config /etc/msgcube/msgcube.toml --safe --base "http://msgcube.test:${base##*:}" | grep "200 success" ||
  fail "a callback by a name of /etc/hosts"
[ "$(stat -c '%a %u' "$bare/var/lib/msgcube-key/msgcube.key")" = "600 65532" ] || fail "the data key's mode"
stop || fail "SIGTERM ended it with status $?"

part "start-up time"
times=()
for _ in 1 2 3 4 5 6 7 8 9; do
  mkfifo "$work/address"
  before=$EPOCHREALTIME
  chroot --userspec=65532:65532 "$bare" /usr/bin/msgcube "${serve[@]}" >"$work/address" 2>/dev/null &
  server=$!
  read -r _ <"$work/address"
  after=$EPOCHREALTIME
  times+=($((${after/./} - ${before/./})))
  rm "$work/address"
  stop || fail "it ended with status $?"
done
mapfile -t sorted < <(printf '%s\n' "${times[@]}" | sort -n)
echo "from exec to listening: median $((sorted[4] / 1000)).$(printf '%03d' $((sorted[4] % 1000))) ms of 9 (${sorted[0]} to ${sorted[8]} us)"

part "own certificates against OpenSSL"
"$binary" tls ca --dir "$work/tls" >/dev/null
verify() { openssl verify -purpose sslserver -CAfile "$work/tls/ca.pem" -untrusted "$work/tls/ca.key" "$@" 2>&1; }
verify -verify_hostname api.weixin.qq.com "$work/tls/server.pem" >/dev/null || fail "OpenSSL refuses the certificate"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/other.key" -subj "/CN=other" \
  -addext "subjectAltName=DNS:example.com" -out "$work/other.csr" 2>/dev/null
openssl x509 -req -in "$work/other.csr" -CA "$work/tls/ca.key" -CAkey "$work/tls/ca.key" -copy_extensions copy -days 9 \
  -out "$work/other.pem" 2>/dev/null
said="$(verify -verify_hostname example.com "$work/other.pem" || true)"
[[ "$said" == *"permitted subtree violation"* ]] || fail "OpenSSL takes another host's certificate: $said"

part "package"
deb="$(packaging/deb.sh 2>>"$work/build")" || { tail -n 20 "$work/build"; exit 1; }
echo "$(basename "$deb"): $(stat -c %s "$deb") bytes"
bash -n packaging/out/completions/msgcube || fail "bash cannot read its completion"
for page in packaging/out/man/*.1; do mandoc -T lint -W error "$page" || fail "$page"; done
# lintian warns about running as root unless told otherwise
lintian --allow-root --fail-on error "$deb" || fail "lintian finds errors"
dpkg -x "$deb" "$work/unpacked"
[ -f "$work/unpacked/usr/lib/systemd/system/msgcube.socket" ] || fail "the package has no msgcube.socket"
dpkg-deb --info "$deb" postinst | grep -E "(start|stop)[^;]*msgcube\.socket" && fail "an upgrade would restart the socket"
chroot "$work/unpacked" /usr/bin/msgcube --version

part "unit"
cp packaging/msgcube.service "$work/unpacked/"
sed -i "s|=/usr/bin/msgcube|=$work/unpacked/usr/bin/msgcube|" "$work/unpacked/msgcube.service"
cp packaging/msgcube.socket "$work/unpacked/"
systemd-analyze verify --man=no "$work/unpacked/msgcube.service" "$work/unpacked/msgcube.socket" || fail "systemd does not like the unit"
systemd-analyze security --offline=true --threshold=20 packaging/msgcube.service >"$work/rating" ||
  { cat "$work/rating"; fail "the unit exposes more than it should"; }
grep -h "Overall exposure" "$work/rating"
if strace -f -o "$work/trace" true 2>/dev/null; then
  strace -f -o "$work/trace" chroot --userspec=65532:65532 "$bare" /usr/bin/msgcube "${serve[@]}" \
    >"$work/out" 2>"$work/log" &
  server=$!
  listening "$work/out"
  alone send --config /etc/msgcube/msgcube.toml --safe --base "$base" >/dev/null
  # strace does not pass the signal on, so it is sent to the program itself
  kill -TERM "$(head -n 1 "$work/trace" | cut -d ' ' -f 1)"
  wait "$server" || fail "it ended with status $? under strace"
  server=
  # only from the start of the program on: the calls of chroot do not belong to the service
  sed -n '/execve("\/usr\/bin\/msgcube"/,$p' "$work/trace" >"$work/calls"
  python3 "$here/packaging_syscalls.py" packaging/msgcube.service "$work/calls"
else
  echo "the filter of the unit is not compared with a trace: strace is not allowed here"
fi

part "installed"
mkdir "$work/layer" "$work/copy"
mount -t tmpfs -o size=512m tmpfs "$work/layer"
mkdir "$work/layer/upper" "$work/layer/work"
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layer/upper,workdir=$work/layer/work" "$work/copy" 2>/dev/null; then
  echo "the package is not installed: an overlay of the root of this machine cannot be mounted here"
  exit 0
fi
cp "$deb" "$work/copy/tmp/msgcube.deb"
inside() { chroot "$work/copy" "$@"; }
quiet() { "$@" >"$work/dpkg" 2>&1 || { cat "$work/dpkg"; fail "$*"; }; }
rm -rf "$work/copy"/{etc,var/lib}/msgcube{,-key}
quiet inside dpkg -i /tmp/msgcube.deb
[ "$(inside stat -c '%a %U:%G' /etc/msgcube)" = "750 root:msgcube" ] || fail "/etc/msgcube is not the service's"
[ -z "$(inside dpkg --verify msgcube)" ] || fail "the files are not those of md5sums"
[ ! -L "$work/copy/etc/systemd/system/multi-user.target.wants/msgcube.service" ] || fail "it is enabled without being asked"
# systemd makes this before a start
inside install -d -m 700 -o msgcube -g msgcube /var/lib/msgcube /var/lib/msgcube-key
account >>"$work/copy/etc/msgcube/msgcube.toml"
chroot "$work/copy" setpriv --reuid=msgcube --regid=msgcube --clear-groups /usr/bin/msgcube "${serve[@]}" >"$work/out" 2>"$work/log" &
server=$!
listening "$work/out"
"$binary" send --config "$work/copy/etc/msgcube/msgcube.toml" --safe --base "$base" | grep "200 success"
stop || fail "SIGTERM ended it with status $?"
# installing the same package again is an upgrade: the changed configuration stays
quiet inside dpkg -i /tmp/msgcube.deb
grep -q packagingToken "$work/copy/etc/msgcube/msgcube.toml" || fail "an upgrade took the configuration away"
printf '\n[datacube]\nbridge_s = 300\n' >>"$work/copy/etc/msgcube/msgcube.toml" # long enough for a slow machine
mkdir -p "$work/copy/proc"
mount --bind /proc "$work/copy/proc"
python3 "$here/packaging_restart.py" "$work/copy" /tmp/msgcube.deb
umount "$work/copy/proc"
quiet inside dpkg --purge msgcube
[ -f "$work/copy/var/lib/msgcube-key/msgcube.key" ] || fail "a purge took the data key away"
[ ! -e "$work/copy/usr/bin/msgcube" ] || fail "a purge left the program"

part "release"
release="$(packaging/release.sh 2>>"$work/build")" || { tail -n 20 "$work/build"; exit 1; }
(cd "$release" && sha256sum --quiet -c SHA256SUMS && ls) || fail "the checksums are not right"
mkdir "$work/archive"
tar -C "$work/archive" -xzf "$release"/*.tar.gz
for program in "$work"/archive/*/msgcube; do "$program" --version; done
tar -tf "$release"/*-container.tar | grep -x ./usr/bin/msgcube || fail "the container's root has no program"
part "end"
