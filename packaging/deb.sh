#!/usr/bin/env bash
# Makes the Debian package and prints its path: packaging/deb.sh. Needs dpkg-deb, which every Debian has.
# The binary needs no library, so one package fits every Debian and Ubuntu. The control file and the maintainer scripts are
# in packaging/debian/.
set -euo pipefail
cd "$(dirname "$0")/.."

binary="$(packaging/static.sh)"
made=packaging/out
tree="$made/tree"
rm -rf "$made"
mkdir -p "$made/completions" "$tree/DEBIAN"
"$binary" man "$made/man" >&2
"$binary" completions bash >"$made/completions/msgcube"
"$binary" completions zsh >"$made/completions/_msgcube"
"$binary" completions fish >"$made/completions/msgcube.fish"

version="$(sed -n '1s/^msgcube (\(.*\)) .*/\1/p' packaging/debian/changelog)"
[ "$("$binary" --version)" = "msgcube ${version%-*}" ] || {
  echo "packaging/debian/changelog has version $version, but the program says $("$binary" --version)" >&2
  exit 1
}
# The licence in the form of Debian: blank lines are written as " .".
{
  printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: msgcube\n\n'
  printf 'Files: *\nCopyright: 2026 the msgcube maintainers\nLicense: MIT\n'
  sed '1,/^Copyright/d; 1,/^$/d' LICENSE | sed 's/^$/./; s/^/ /'
} >"$made/copyright"
gzip -9n <packaging/debian/changelog >"$made/changelog.Debian.gz"
gzip -9n "$made"/man/*.1 --keep

shopt -s nullglob
units=(packaging/*.service packaging/*.socket)

# ---- every file of the package
put() { # MODE FOLDER FILE...
  install -D -m "$1" -t "$tree/$2" "${@:3}"
}
put 755 usr/bin "$binary"
install -D -m 644 packaging/msgcube.example.toml "$tree/etc/msgcube/msgcube.toml"
install -D -m 644 packaging/msgcube.example.toml "$tree/usr/share/doc/msgcube/examples/msgcube.toml"
put 644 usr/share/doc/msgcube README.md README.zh.md COMPATIBILITY.md "$made/copyright" "$made/changelog.Debian.gz"
put 644 usr/share/doc/msgcube/docs docs/*.md
put 644 usr/share/doc/msgcube/prometheus packaging/prometheus/*.yml
put 644 usr/share/doc/msgcube/grafana packaging/grafana/*.json
put 644 usr/lib/systemd/system "${units[@]}"
put 644 usr/share/man/man1 "$made"/man/*.1.gz
put 644 usr/share/bash-completion/completions "$made/completions/msgcube"
put 644 usr/share/zsh/vendor-completions "$made/completions/_msgcube"
put 644 usr/share/fish/vendor_completions.d "$made/completions/msgcube.fish"
# Files that an upgrade keeps if the administrator changed them.
echo /etc/msgcube/msgcube.toml >"$tree/DEBIAN/conffiles"
# ----

kibibytes="$(du -sk --apparent-size "$tree" | cut -f 1)"
filled() { # FILE: fills in the values that are known only now
  sed "s|@VERSION@|$version|; s|@ARCHITECTURE@|$(dpkg --print-architecture)|; s|@KIBIBYTES@|$kibibytes|; s|@UNITS@|${units[*]##*/}|" \
    "packaging/debian/$1" >"$tree/DEBIAN/$1"
}
for script in postinst prerm postrm; do
  filled "$script"
  chmod 755 "$tree/DEBIAN/$script"
done
filled control
(cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
deb="$made/msgcube_${version}_$(dpkg --print-architecture).deb"
# Not every system can read the other compressions.
dpkg-deb --root-owner-group -Zxz --build "$tree" "$deb" >&2
rm -rf "$tree"
echo "$deb"
