#!/usr/bin/env bash
# A backend in shell that keeps and purges pages with plain memcached commands; needs nothing but bash and coreutils.
#
#   purge.sh HOST:PORT set KEY < body
#   purge.sh HOST:PORT delete KEY
#
# KEY is what the `key` pattern of memcached.lookup makes of a request, for example http://example.org/index.html.
set -euo pipefail
export LC_ALL=C

# Lookaside's key rule: 1 to 250 bytes of 0x21-0x7e go as they are, everything else as its SHA-1 in hex.
store_key() {
  if [[ ${#1} -ge 1 && ${#1} -le 250 && $1 != *[^!-~]* ]]; then
    printf %s "$1"
  else
    printf %s "$1" | sha1sum | cut -d' ' -f1
  fi
}

server=$1 command=$2 key=$(store_key "$3")
exec 3<>"/dev/tcp/${server%:*}/${server##*:}"
case $command in
  set)
    body=$(mktemp)
    trap 'rm -f "$body"' EXIT
    cat >"$body"
    { printf 'set %s 0 60 %d\r\n' "$key" "$(wc -c <"$body")"; cat "$body"; printf '\r\n'; } >&3
    ;;
  delete) printf 'delete %s\r\n' "$key" >&3 ;;
esac
read -r -t 1 answer <&3
case ${answer%$'\r'} in
  STORED | DELETED) ;;
  *) exit 1 ;;
esac
