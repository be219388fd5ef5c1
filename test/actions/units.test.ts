import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { z } from 'zod';
import { byteSize, durationMs, durationSeconds } from '../../src/actions/units.js';

describe('durations', () => {
  const written: [text: string | number, ms: number][] = [
    ['100ms', 100],
    ['90s', 90_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    ['0', 0],
    ['30', 30_000],
    [30, 30_000],
    [0, 0],
  ];
  for (const [text, ms] of written) {
    it(`reads ${JSON.stringify(text)} as ${ms} ms`, () => assert.equal(durationMs().parse(text), ms));
  }

  it('counts seconds where it has to', () => {
    assert.equal(durationSeconds().parse('2m'), 120);
    assert.equal(durationSeconds().parse('2000ms'), 2);
    assert.equal(faultOf(durationSeconds(), '1500ms'), '"1500ms" is not a whole number of seconds');
  });

  for (const text of ['', '60x', '1.5s', '-1s', ' 5s', '5 s', '5S', 'm', '1h30', '1e3', '９s']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      const forms = 'a whole number of seconds, or one with a unit: 100ms, 90s, 5m, 1h30m, 7d';
      assert.equal(faultOf(durationMs(), text), `${JSON.stringify(text)} is not a duration: expected ${forms}`);
    });
  }

  for (const value of [1.5, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, true, null, [5], { s: 5 }]) {
    it(`refuses ${Array.isArray(value) ? '[5]' : String(value)}`, () =>
      assert.match(faultOf(durationMs(), value), /is not a duration/));
  }

  it('refuses more than a number can hold exactly', () => {
    assert.match(faultOf(durationMs(), '99999999999999999999d'), /is not a duration/);
  });
});

describe('sizes', () => {
  const written: [text: string | number, bytes: number][] = [
    [65536, 65536],
    ['65536', 65536],
    ['64k', 65536],
    ['64K', 65536],
    ['64kB', 65536],
    ['64KiB', 65536],
    ['64kbyte', 65536],
    ['4MiB', 4_194_304],
    ['1g', 1_073_741_824],
  ];
  for (const [text, bytes] of written) {
    it(`reads ${JSON.stringify(text)} as ${bytes} bytes`, () => assert.equal(byteSize().parse(text), bytes));
  }

  for (const text of ['4MB5', '1.5MiB', '4TiB', '4Mi', '-1', '4 MiB', '4k4k']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      const forms = 'a whole number of bytes, or one with a unit: 64k, 64KiB, 4MiB, 1GiB';
      assert.equal(faultOf(byteSize(), text), `${JSON.stringify(text)} is not a size: expected ${forms}`);
    });
  }
});

describe('bounds', () => {
  it('take both ends', () => {
    const bounded = durationMs({ min: '1ms', max: '10s' });
    assert.equal(bounded.parse('1ms'), 1);
    assert.equal(bounded.parse('10s'), 10_000);
    assert.equal(faultOf(bounded, '0ms'), '"0ms" is less than 1ms');
    assert.equal(faultOf(bounded, '10001ms'), '"10001ms" is more than 10s');
  });

  it('remind whoever left the unit out that it would be seconds', () => {
    const expected = '100 is more than 10s (a number without unit counts seconds)';
    assert.equal(faultOf(durationMs({ max: '10s' }), 100), expected);
  });

  it('are checked themselves', () => {
    assert.throws(() => durationMs({ max: '10 s' }).parse('1s'), /the bound "10 s" is not a duration/);
  });
});

describe('a default', () => {
  it('is written as a configuration would write it', () => {
    assert.equal(durationSeconds().prefault('30s').parse(undefined), 30);
  });
});

it('a sum of parts is the sum of the parts', () => {
  const factors = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const part = fc.record({
    count: fc.nat(9999),
    unit: fc.constantFrom<keyof typeof factors>('ms', 's', 'm', 'h', 'd'),
  });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.map(({ count, unit }) => `${count}${unit}`).join('');
      const sum = parts.reduce((ms, { count, unit }) => ms + count * factors[unit], 0);
      assert.equal(durationMs().parse(text), sum);
    }),
  );
});

it('any text gives a number that is whole and not negative, or one fault', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789msdhkKMGiBbyte. -') }), (text) => {
      for (const schema of [durationMs(), durationSeconds(), byteSize()]) {
        const read = schema.safeParse(text);
        if (read.success) assert.ok(Number.isSafeInteger(read.data) && read.data >= 0);
        else assert.equal(read.error.issues.length, 1);
      }
    }),
  );
});

function faultOf(schema: z.ZodType, value: unknown): string {
  const read = schema.safeParse(value);
  assert.ok(!read.success, `${value} was taken for ${read.data}`);
  assert.equal(read.error.issues.length, 1);
  return read.error.issues[0]?.message ?? '';
}
