import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

/** No machine needs longer for what tests wait for. */
const PATIENCE_MS = 15_000;

/** Waits until `isSo`, and fails, saying `otherwise`, when that takes too long. */
export async function until(isSo: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) assert.fail(otherwise);
    await delay(5);
  }
}
