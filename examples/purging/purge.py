"""Purges what Lookaside has cached, with plain memcached commands. docs/purging.md explains each step.

    python3 purge.py SERVERS [--soft] url URL          one page, with all its variants
    python3 purge.py SERVERS [--soft] keyed-url URL    the same, where keys are more than the URL
    python3 purge.py SERVERS [--soft] tag TAG          every response with this tag
    python3 purge.py SERVERS [--soft] prefix PREFIX    every URL that begins with PREFIX, which ends in /
    python3 purge.py SERVERS [--soft] all

SERVERS is host:port, or several with commas: all servers of the pool. Every command goes to each of them, so that no
ring is needed: a server that does not hold the key says so, and nothing happens.
"""

import hashlib
import sys

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError, MemcacheError

HARD, SOFT = 1 << 20, 1
EPOCHS = [b"lookaside:epoch:%d" % n for n in range(16)]
LEVELS = 8


def fits(key: bytes) -> bool:
    return 1 <= len(key) <= 250 and all(0x21 <= byte <= 0x7E for byte in key)


def sha1(text: bytes) -> bytes:
    return hashlib.sha1(text).hexdigest().encode()


def store_key(key: bytes) -> bytes:
    """The key of a page: as it is when memcached takes it, else its SHA-1."""
    return key if fits(key) and not key.startswith(b"lookaside:") else sha1(key)


def counter(kind: bytes, part: bytes) -> bytes:
    """The key of a counter: its last part as it is when memcached takes the whole, else the SHA-1 of that part."""
    key = b"lookaside:" + kind + b":" + part
    return key if part and fits(key) else b"lookaside:" + kind + b":" + sha1(part)


def directory(prefix: bytes) -> bytes:
    """What lies deeper than the levels that have counters is purged with its ancestor."""
    parts = prefix.split(b"/")
    return prefix if len(parts) <= LEVELS + 3 else b"/".join(parts[: LEVELS + 2]) + b"/"


def on_every_server(servers: list[str], command) -> None:
    """Tries all of them before it fails."""
    failures = []
    for server in servers:
        host, port = server.rsplit(":", 1)
        client = Client((host, int(port)), timeout=2, connect_timeout=2)
        try:
            command(client)
        except (OSError, MemcacheError) as error:
            failures.append(f"{server}: {error}")
        finally:
            client.close()
    if failures:
        raise SystemExit("not purged, run it again: " + "; ".join(failures))


def add(key: bytes, delta: int):
    def command(client: Client) -> None:
        try:
            client.incr(key, delta)
        except MemcacheClientError:  # no number: somebody else wrote it
            client.delete(key, noreply=False)

    return command


def purge_by_counter(servers: list[str], key: bytes, delta: int) -> None:
    def add_epochs(client: Client) -> None:
        for epoch in EPOCHS:
            add(epoch, SOFT)(client)

    on_every_server(servers, add_epochs)  # for those who store at this moment
    on_every_server(servers, add(key, delta))
    on_every_server(servers, add_epochs)  # for those who look up


def main(servers: str, *words: str) -> None:
    soft = words[0] == "--soft"
    what, name = (*words[soft:], "")[:2]
    pool, part, delta = servers.split(","), name.encode(), SOFT if soft else HARD
    if what == "url" and soft:
        raise SystemExit("to mark one page stale, give it a tag of its own, and purge that")
    if what in ("url", "keyed-url") and not soft:
        on_every_server(pool, lambda client: client.delete(store_key(part), noreply=False))
    if what == "keyed-url":
        purge_by_counter(pool, counter(b"url", part), delta)
    elif what == "tag":
        purge_by_counter(pool, counter(b"tag", part), delta)
    elif what == "prefix":
        purge_by_counter(pool, counter(b"prefix", directory(part)), delta)
    elif what == "all":
        purge_by_counter(pool, b"lookaside:all", delta)
    elif what != "url":
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
