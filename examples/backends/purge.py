"""A backend in Python that keeps and purges pages with plain memcached commands.

    python3 purge.py HOST:PORT set KEY < body
    python3 purge.py HOST:PORT delete KEY

KEY is what the `key` pattern of memcached.lookup makes of a request, for example http://example.org/index.html.
"""

import hashlib
import sys

from pymemcache.client.base import Client


def store_key(key: bytes) -> bytes:
    """Lookaside's key rule: 1 to 250 bytes of 0x21-0x7e go as they are, everything else as its SHA-1 in hex."""
    if 1 <= len(key) <= 250 and all(0x21 <= byte <= 0x7E for byte in key):
        return key
    return hashlib.sha1(key).hexdigest().encode()


def main(server: str, command: str, key: str) -> int:
    host, port = server.rsplit(":", 1)
    client = Client((host, int(port)), timeout=1, connect_timeout=1)
    name = store_key(key.encode())
    if command == "set":
        return 0 if client.set(name, sys.stdin.buffer.read(), expire=60, noreply=False) else 1
    return 0 if client.delete(name, noreply=False) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
