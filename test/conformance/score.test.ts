import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compare, recordedRun, recordSchema, scoreOfRun } from './record.js';
import { count, scoreOf } from './score.js';
import type { TestGroup, Verdict } from './suite.js';
import { bySuite, markdown, notPassed, summary } from './table.js';

const groups: TestGroup[] = [
  {
    id: 'parsing',
    name: 'Parsing',
    tests: [
      { id: 'digits', kind: 'required' },
      { id: 'quotes', kind: 'required' },
      { id: 'clamp', kind: 'optimal' },
    ],
  },
  {
    id: 'stale',
    name: 'Serving Stale',
    tests: [
      { id: 'close', kind: 'check' },
      { id: 'after-close', kind: 'required' },
    ],
  },
];

function scored(verdicts: { readonly [id: string]: Verdict }) {
  return scoreOf({ groups, verdict: (id) => verdicts[id] ?? 'untested' }, {});
}

const some = scored({ digits: 'pass', quotes: 'fail', clamp: 'pass', close: 'yes', 'after-close': 'setup_fail' });

describe('the score of a conformance run', () => {
  it('counts what was passed, kind by kind and suite by suite', () => {
    assert.deepEqual(count(groups, 'required', some), { passed: 1, total: 3 });
    assert.deepEqual(count(groups, 'optimal', some), { passed: 1, total: 1 });
    assert.deepEqual(count(groups.slice(1), 'check', some), { passed: 1, total: 1 });
  });

  it('takes a test without a result for not passed', () => {
    assert.deepEqual(count(groups, 'required', scored({})), { passed: 0, total: 3 });
    assert.equal(scored({}).verdicts.get('digits'), 'untested');
  });

  it('shows every verdict on a terminal', () => {
    assert.match(summary(groups, some), /^required {7}1\/3 {3}1 pass, 1 fail, 1 setup fail$/m);
    assert.match(bySuite(groups, some), /^Parsing +1\/2 +1\/1$/m);
  });

  it('becomes a table with a column for every cache', () => {
    const table = markdown(groups, [
      { name: 'ours', score: some },
      { name: 'theirs', score: scored({}) },
    ]);
    assert.match(table, /^\| tests passed, of 3 \| ours \| theirs \|$/m);
    assert.match(table, /^\| \*\*all\*\* \| \*\*1\*\* \| \*\*0\*\* \|$/m);
    assert.match(table, /^\| Serving Stale \(1\) \| 0 \| 0 \|$/m);
  });

  it('lists what was not passed, and leaves out what was', () => {
    const all = scored({ digits: 'pass', quotes: 'pass', clamp: 'pass', 'after-close': 'pass' });
    const table = notPassed(groups, [
      { name: 'one', score: some },
      { name: 'other', score: all },
    ]);
    assert.deepEqual(table.split('\n').slice(4), [
      '| `quotes` | Parsing | required | fail | pass |',
      '| `after-close` | Serving Stale | required | setup fail | pass |',
    ]);
  });
});

describe('the record of a conformance run', () => {
  const run = recordedRun(groups, some);

  it('survives being written and read, and gives the same score again', () => {
    const { memcached } = recordSchema.parse(JSON.parse(JSON.stringify({ memcached: { rfc: run } })));
    assert.deepEqual(memcached?.rfc, run);
    assert.deepEqual(scoreOfRun(groups, run), some);
  });

  it('names what is not passed any more, and says when the numbers are lower', () => {
    const worse = recordedRun(groups, scored({ quotes: 'pass', close: 'no', clamp: 'dependency_fail' }));
    assert.deepEqual(compare(groups, worse, run), { isBelow: true, lost: ['digits', 'clamp'], gained: ['quotes'] });
  });

  it('is met by other tests in the same number', () => {
    const other = recordedRun(groups, scored({ quotes: 'pass', clamp: 'pass' }));
    assert.deepEqual(compare(groups, other, run), { isBelow: false, lost: ['digits'], gained: ['quotes'] });
  });
});
