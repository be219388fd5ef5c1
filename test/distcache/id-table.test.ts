import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type IdHash, IdTable } from '../../src/distcache/id-table.js';

/** A table, and the ids of its rows. */
function newTable(maxRows: number, hash?: IdHash) {
  const ids: Buffer[] = [];
  const table = new IdTable(maxRows, (row, id) => ids[row]?.equals(id) ?? false, hash);
  return {
    find: (id: Buffer) => table.find(id),
    remove: (row: number) => table.remove(row),
    add(row: number, id: Buffer) {
      ids[row] = id;
      table.add(row, id);
    },
  };
}

const ROWS = 64;

for (const [what, hash] of [
  ['that spreads the ids', undefined],
  // of 128 slots: most ids lie far from their places, and some behind the end, at the beginning
  ['that has few places', (id: Uint8Array) => 122 + ((id[0] ?? 0) % 8)],
  ['that is the same for all', () => -1],
] as const) {
  test(`with a hash ${what} the ids that were added are found, and no others`, () => {
    const operation = fc.record({ what: fc.constantFrom('add', 'add', 'remove', 'find'), number: fc.nat(100) });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 400, size: 'max' }), (operations) => {
        const [table, rows] = [newTable(ROWS, hash), new Map<number, number>()];
        const free = Array.from({ length: ROWS }, (_, row) => row);
        for (const { what, number } of operations) {
          const id = Buffer.from(`${String.fromCharCode(number)} is ${number}`);
          const row = table.find(id);
          assert.equal(row, rows.get(number));
          if (what === 'add' && row === undefined) {
            const added = free.pop();
            if (added === undefined) continue;
            table.add(added, id);
            rows.set(number, added);
          } else if (what === 'remove' && row !== undefined) {
            table.remove(row);
            rows.delete(number);
            free.push(row);
          }
        }
        for (const [number, row] of rows) {
          assert.equal(table.find(Buffer.from(`${String.fromCharCode(number)} is ${number}`)), row);
        }
      }),
    );
  });
}

test('as many ids as there are rows have room', () => {
  for (const rows of [64, 65, 1000]) {
    const table = newTable(rows);
    const ids = Array.from({ length: rows }, () => randomBytes(32));
    for (const [row, id] of ids.entries()) table.add(row, id);
    for (const [row, id] of ids.entries()) assert.equal(table.find(id), row);
    assert.equal(table.find(randomBytes(32)), undefined);
  }
});

test('ids that are alike lie far apart, and elsewhere in each table', () => {
  const probes = () => {
    let asked = 0;
    const table = new IdTable(1000, () => {
      asked++;
      return false;
    });
    const ids = Array.from({ length: 1000 }, (_, number) => Buffer.from(`session ${number}`));
    for (const [row, id] of ids.entries()) table.add(row, id);
    for (const id of ids) table.find(id);
    return asked;
  };
  // each id meets itself, and now and then another one with the same hash
  for (let table = 0; table < 5; table++) assert.ok(probes() < 1010);
});
