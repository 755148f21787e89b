#!/bin/sh
# refresh.sh URL FILE [ZONES]: fetches a city database, checks that Meridian can load it, renames it over FILE.
# ZONES: a folder of zones to check it with; the example's otherwise. Exit code 0: FILE is new.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 URL FILE [ZONES]" >&2; exit 2; }
url=$1
file=$2
root=$(dirname "$(dirname "$(readlink -f "$0")")")
zones=${3:-$root/zones}

# beside FILE, so that the rename is one step
work=$(mktemp -d "$file.XXXXXX")
trap 'rm -rf "$work"' EXIT
curl --fail --silent --show-error --location --output "$work/got" "$url"
case $url in
  *.tar.gz | *.tgz | *suffix=tar.gz*)
    tar -xzf "$work/got" -C "$work"
    new=$(find "$work" -name '*.mmdb' | head -n 1)
    [ -n "$new" ] || { echo "$url holds no .mmdb file" >&2; exit 1; }
    ;;
  *.gz)
    gunzip -c "$work/got" >"$work/new.mmdb"
    new=$work/new.mmdb
    ;;
  *) new=$work/got ;;
esac
chmod 0644 "$new"
"$root/bin/meridian" check "$zones" --geo-city "$new"
mv "$new" "$file"
