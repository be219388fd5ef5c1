import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { LimitedLog } from '../../src/distcache/limited-log.js';
import { metricsText, SERVER_METRICS } from '../../src/distcache/metrics.js';
import { isReportDue, ProgressReport, type ProgressState, progressLine } from '../../src/distcache/progress.js';

function at(operations: number, sessions: number, atMs: number): ProgressState {
  return { operations, sessions, atMs };
}

const START = at(0, 0, 0);

for (const [last, state, line] of [
  [START, at(100, 5, 0), 'Info, total operations =     100  (+   100), total sessions =     5  (+  5)'],
  [at(100, 5, 0), at(250, 2, 0), 'Info, total operations =     250  (+   150), total sessions =     2  (-  3)'],
  [at(7, 2, 0), at(7, 2, 0), 'Info, total operations =       7  (+     0), total sessions =     2  (=  0)'],
  [
    START,
    at(123_456_789, 60_000, 0),
    'Info, total operations = 123456789  (+ 123456789), total sessions = 60000  (+60000)',
  ],
] as const) {
  test(`a report of ${state.operations} operations is the line of the C server`, () => {
    assert.equal(progressLine(last, state), line);
  });
}

describe('a report is due', () => {
  test('at once when the operations pass a multiple', () => {
    assert.equal(isReportDue(START, at(99, 0, 10), 100), false);
    assert.equal(isReportDue(START, at(100, 0, 10), 100), true);
    assert.equal(isReportDue(at(100, 0, 0), at(199, 0, 10), 100), false);
    assert.equal(isReportDue(at(199, 0, 0), at(500, 0, 10), 100), true);
  });

  test('once a second when the number of sessions is another one', () => {
    assert.equal(isReportDue(START, at(1, 1, 999), 0), false);
    assert.equal(isReportDue(START, at(1, 1, 1000), 0), true);
    assert.equal(isReportDue(at(1, 1, 0), at(1, 0, 1000), 0), true);
  });

  test('never when nothing has changed', () => {
    assert.equal(isReportDue(START, at(0, 0, 3_600_000), 10), false);
    assert.equal(isReportDue(START, at(50, 0, 3_600_000), 0), false);
  });
});

test('a report is written with the operation that calls for it', async () => {
  const lines: string[] = [];
  let operations = 0;
  const source = { operations: () => operations, sessions: async () => 3 };
  const progress = new ProgressReport(source, 10, (line) => lines.push(line));
  for (operations = 1; operations <= 25; operations++) {
    progress.operationDone();
    await delay(0);
  }
  progress.stop();
  assert.deepEqual(lines, [
    'Info, total operations =      10  (+    10), total sessions =     3  (+  3)',
    'Info, total operations =      20  (+    10), total sessions =     3  (=  0)',
  ]);
});

test('a limited log says a thing once in a while, and how often it did not', () => {
  const lines: string[] = [];
  let now = 0;
  const log = new LimitedLog(
    (line) => lines.push(line),
    () => now,
  );
  for (let i = 0; i < 100; i++) log.say('one', 'one thing');
  log.say('other', 'another thing');
  now = 10_001;
  log.say('one', 'one thing');
  log.say('other', 'another thing');
  assert.deepEqual(lines, ['one thing', 'another thing', 'one thing (and 99 times before)', 'another thing']);
});

test('metrics are told as Prometheus reads them', () => {
  const definitions = { faults_total: SERVER_METRICS.faults_total };
  assert.equal(
    metricsText('dc_', definitions, { faults_total: 3 }),
    '# HELP dc_faults_total Connections closed because the peer sent what it must not.\n' +
      '# TYPE dc_faults_total counter\ndc_faults_total 3\n',
  );
});
