<?php

/*
 * Purges what Lookaside has cached, with plain memcached commands. docs/purging.md explains each step.
 *
 *   php purge.php SERVERS [--soft] url URL          one page, with all its variants
 *   php purge.php SERVERS [--soft] keyed-url URL    the same, where keys are more than the URL
 *   php purge.php SERVERS [--soft] tag TAG          every response with this tag
 *   php purge.php SERVERS [--soft] prefix PREFIX    every URL that begins with PREFIX, which ends in /
 *   php purge.php SERVERS [--soft] all
 *
 * SERVERS is host:port, or several with commas: all servers of the pool. Every command goes to each of them, so that no
 * ring is needed: a server that does not hold the key says so, and nothing happens. It needs no extension; with
 * php-memcached, Memcached::increment and Memcached::delete do the same.
 */

declare(strict_types=1);

const HARD = 1 << 20;
const SOFT = 1;
const EPOCHS = 16;
const LEVELS = 8;
const TIMEOUT_SECONDS = 2;

function fits(string $key): bool
{
    return preg_match('/^[\x21-\x7e]{1,250}$/D', $key) === 1;
}

/** The key of a page: as it is when memcached takes it, else its SHA-1. */
function storeKey(string $key): string
{
    return fits($key) && !str_starts_with($key, 'lookaside:') ? $key : sha1($key);
}

/** The key of a counter: its last part as it is when memcached takes the whole, else the SHA-1 of that part. */
function counter(string $kind, string $part): string
{
    $key = "lookaside:$kind:$part";
    return $part !== '' && fits($key) ? $key : "lookaside:$kind:" . sha1($part);
}

/** What lies deeper than the levels that have counters is purged with its ancestor. */
function directory(string $prefix): string
{
    $parts = explode('/', $prefix);
    return count($parts) <= LEVELS + 3 ? $prefix : implode('/', array_slice($parts, 0, LEVELS + 2)) . '/';
}

function fail(string $reason): never
{
    fwrite(STDERR, "$reason\n");
    exit(1);
}

/** One command; its answer, or an exception when there is none. */
function ask($connection, string $command): string
{
    fwrite($connection, "$command\r\n");
    $answer = fgets($connection);
    if ($answer === false) {
        throw new RuntimeException('no answer');
    }
    return rtrim($answer, "\r\n");
}

function add($connection, string $key, int $delta): void
{
    // no number: somebody else wrote it
    if (str_starts_with(ask($connection, "incr $key $delta"), 'CLIENT_ERROR')) {
        ask($connection, "delete $key");
    }
}

/** Tries all servers before it fails. */
function onEveryServer(array $servers, callable $command): void
{
    $failures = [];
    foreach ($servers as $server) {
        $connection = @stream_socket_client("tcp://$server", $code, $message, TIMEOUT_SECONDS);
        if ($connection === false) {
            $failures[] = "$server: $message";
            continue;
        }
        stream_set_timeout($connection, TIMEOUT_SECONDS);
        try {
            $command($connection);
        } catch (RuntimeException $error) {
            $failures[] = "$server: {$error->getMessage()}";
        }
        fclose($connection);
    }
    if ($failures !== []) {
        fail('not purged, run it again: ' . implode('; ', $failures));
    }
}

function purgeByCounter(array $servers, string $key, int $delta): void
{
    $addEpochs = function ($connection): void {
        for ($epoch = 0; $epoch < EPOCHS; $epoch++) {
            add($connection, "lookaside:epoch:$epoch", SOFT);
        }
    };
    onEveryServer($servers, $addEpochs); // for those who store at this moment
    onEveryServer($servers, fn ($connection) => add($connection, $key, $delta));
    onEveryServer($servers, $addEpochs); // for those who look up
}

$words = array_slice($argv, 1);
$servers = explode(',', array_shift($words) ?? '');
$soft = ($words[0] ?? '') === '--soft';
[$what, $name] = array_slice([...array_slice($words, (int) $soft), '', ''], 0, 2);
$delta = $soft ? SOFT : HARD;
if ($what === 'url' && $soft) {
    fail('to mark one page stale, give it a tag of its own, and purge that');
}
if (in_array($what, ['url', 'keyed-url'], true) && !$soft) {
    onEveryServer($servers, fn ($connection) => ask($connection, 'delete ' . storeKey($name)));
}
match ($what) {
    'url' => null,
    'keyed-url' => purgeByCounter($servers, counter('url', $name), $delta),
    'tag' => purgeByCounter($servers, counter('tag', $name), $delta),
    'prefix' => purgeByCounter($servers, counter('prefix', directory($name)), $delta),
    'all' => purgeByCounter($servers, 'lookaside:all', $delta),
    default => fail('see the head of this file'),
};
