#!/bin/sh
# Makes sure that what the tests run against is there: memcached, openssl, and python3-pymemcache and PHP as clients in
# other languages. Installs what is missing from Debian's packages when it may, and says plainly what is missing when it may not.
set -eu

missing=''
command -v memcached >/dev/null 2>&1 || missing="$missing memcached"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
/usr/bin/python3 -c 'import pymemcache' >/dev/null 2>&1 || missing="$missing python3-pymemcache"
command -v php >/dev/null 2>&1 || missing="$missing php-cli"
[ -n "$missing" ] || exit 0

fail() {
  echo "lookaside: the tests need these Debian packages:$missing. $1" >&2
  echo "lookaside: install them with: sudo apt-get install$missing" >&2
  exit 1
}

command -v apt-get >/dev/null 2>&1 || fail 'This machine has no apt-get.'
if [ "$(id -u)" = 0 ]; then
  as_root=''
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root='sudo -n'
else
  fail 'They can not be installed without root.'
fi

echo "lookaside: installing$missing" >&2
log=$(mktemp)
# shellcheck disable=SC2086 # word splitting is meant
if $as_root apt-get -q update >"$log" 2>&1 &&
  DEBIAN_FRONTEND=noninteractive $as_root apt-get -q -y --no-install-recommends install $missing >>"$log" 2>&1; then
  rm -f "$log"
else
  tail -n 20 "$log" >&2
  rm -f "$log"
  fail 'apt-get could not install them.'
fi
