#!/bin/sh
# Fetches a database into a folder: whole, or not at all. A running Meridian picks it up.
#
#   geo/refresh.sh dbip [FOLDER]            DB-IP City Lite of this month, else of the last one
#   geo/refresh.sh dbip-asn [FOLDER]        DB-IP ASN Lite, likewise
#   geo/refresh.sh geolite2 [FOLDER]        GeoLite2 City; needs MAXMIND_ACCOUNT_ID and MAXMIND_LICENSE_KEY
#   geo/refresh.sh geolite2-asn [FOLDER]    GeoLite2 ASN, likewise
#
# DBIP_URL and MAXMIND_URL name mirrors.
set -eu

source=${1:-}
folder=${2:-$(dirname "$0")}
work=$(mktemp -d "$folder/.refresh.XXXXXX")
trap 'rm -rf "$work"' EXIT

fetch() { # URL FILE [curl options]
  url=$1 file=$2
  shift 2
  curl --fail --silent --show-error --location --retry 3 --max-time 900 "$@" --output "$file" "$url"
}

case $source in
*-asn) what=asn name=ASN ;;
*) what=city name=City ;;
esac

case $source in
dbip | dbip-asn)
  target=dbip-$what.mmdb
  base=${DBIP_URL:-https://download.db-ip.com/free}
  # a month's file appears in its first days
  month=$(date -u +%Y-%m)
  last=$(date -u -d "$month-01 -1 day" +%Y-%m)
  fetch "$base/dbip-$what-lite-$month.mmdb.gz" "$work/new.gz" || fetch "$base/dbip-$what-lite-$last.mmdb.gz" "$work/new.gz"
  gzip -dc "$work/new.gz" >"$work/new.mmdb"
  ;;
geolite2 | geolite2-asn)
  target=GeoLite2-$name.mmdb
  base=${MAXMIND_URL:-https://download.maxmind.com}
  # through a file: arguments can be seen by everybody on the machine
  (umask 077 && printf 'user = "%s:%s"\n' "${MAXMIND_ACCOUNT_ID:?}" "${MAXMIND_LICENSE_KEY:?}" >"$work/curlrc")
  fetch "$base/geoip/databases/GeoLite2-$name/download?suffix=tar.gz" "$work/new.tar.gz" --config "$work/curlrc"
  tar -xzf "$work/new.tar.gz" -C "$work" --strip-components 1
  mv "$work/$target" "$work/new.mmdb"
  ;;
*)
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac

# the metadata stands at the end: a file that was cut short has none
tail -c 131072 "$work/new.mmdb" | grep -aq 'MaxMind.com' || {
  echo "$source sent no MMDB file; $folder/$target stays as it is" >&2
  exit 1
}
mv "$work/new.mmdb" "$folder/$target"
echo "$folder/$target: $(wc -c <"$folder/$target") bytes"
