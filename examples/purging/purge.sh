#!/usr/bin/env bash
# Purges what Lookaside has cached, with plain memcached commands; needs nothing but bash and coreutils.
# docs/purging.md explains each step.
#
#   purge.sh SERVERS [--soft] url URL          one page, with all its variants
#   purge.sh SERVERS [--soft] keyed-url URL    the same, where keys are more than the URL
#   purge.sh SERVERS [--soft] tag TAG          every response with this tag
#   purge.sh SERVERS [--soft] prefix PREFIX    every URL that begins with PREFIX, which ends in /
#   purge.sh SERVERS [--soft] all
#
# SERVERS is host:port, or several with commas: all servers of the pool. Every command goes to each of them, so that no
# ring is needed: a server that does not hold the key says so, and nothing happens.
set -euo pipefail
export LC_ALL=C

sha1() { printf %s "$1" | sha1sum | cut -d' ' -f1; }
fits() { [[ ${#1} -ge 1 && ${#1} -le 250 && $1 != *[^!-~]* ]]; }

# The key of a page: as it is when memcached takes it, else its SHA-1.
store_key() {
  if fits "$1" && [[ $1 != lookaside:* ]]; then printf %s "$1"; else sha1 "$1"; fi
}

# The key of a counter: its last part as it is when memcached takes the whole, else the SHA-1 of that part.
counter() {
  if [[ -n $2 ]] && fits "lookaside:$1:$2"; then printf %s "lookaside:$1:$2"; else printf %s "lookaside:$1:$(sha1 "$2")"; fi
}

# What lies deeper than the eight levels that have counters is purged with its ancestor.
directory() {
  local slashes=${1//[^\/]/}
  if [[ ${#slashes} -le 10 ]]; then printf %s "$1"; else printf '%s/' "$(printf %s "$1" | cut -d/ -f1-10)"; fi
}

# Sends commands to every server, one an argument, and reads as many answers; those that it refuses are in `refused`.
# Tries all servers before it fails.
on_every_server() {
  local server command answer failed=0
  for server in "${servers[@]}"; do
    if ! { exec 3<>"/dev/tcp/${server%:*}/${server##*:}"; } 2>/dev/null; then
      failed=1
      continue
    fi
    printf '%s\r\n' "$@" >&3
    for command in "$@"; do
      read -r -t 2 answer <&3 || { failed=1; break; }
      if [[ $answer == CLIENT_ERROR* ]]; then refused+=("$command"); fi
    done
    exec 3>&-
  done
  if [[ $failed == 1 ]]; then
    echo 'not purged, run it again: a server did not answer' >&2
    exit 1
  fi
}

# Adds to counters. What is no number was written by somebody else, and is deleted.
add() {
  local by=$1 key command commands=() refused=()
  shift
  for key in "$@"; do commands+=("incr $key $by"); done
  on_every_server "${commands[@]}"
  for command in "${refused[@]}"; do
    key=${command#incr }
    on_every_server "delete ${key% *}"
  done
}

purge_by_counter() {
  local epochs=(lookaside:epoch:{0..15})
  add 1 "${epochs[@]}" # for those who store at this moment
  add "$delta" "$1"
  add 1 "${epochs[@]}" # for those who look up
}

IFS=, read -ra servers <<<"$1"
shift
delta=$((1 << 20))
if [[ $1 == --soft ]]; then
  delta=1
  shift
fi
what=$1 name=${2-}
if [[ $what == url && $delta == 1 ]]; then
  echo 'to mark one page stale, give it a tag of its own, and purge that' >&2
  exit 1
fi
if [[ $what == *url && $delta != 1 ]]; then on_every_server "delete $(store_key "$name")"; fi
case $what in
  url) ;;
  keyed-url) purge_by_counter "$(counter url "$name")" ;;
  tag) purge_by_counter "$(counter tag "$name")" ;;
  prefix) purge_by_counter "$(counter prefix "$(directory "$name")")" ;;
  all) purge_by_counter lookaside:all ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 1 ;;
esac
