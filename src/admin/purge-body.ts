import { z } from 'zod';
import { MAX_PURGE_TARGETS, type NamedTarget, targetFault } from '../actions/purge-report.js';
import { urlAsSent } from '../actions/url-view.js';
import type { PurgeOptions } from '../cache/purger.js';
import { utf8ToBytes } from '../http/byte-string.js';
import { MAX_TAG_LENGTH } from '../http/surrogate-keys.js';

/** Longer ones do not fit into the head of a request. */
const MAX_URL_LENGTH = 16 * 1024;

const urls = z.array(z.string().min(1).max(MAX_URL_LENGTH).transform(urlAsSent)).default([]);

/** What `POST /purge` takes. All that is named is purged. */
export const purgeBody = z
  .strictObject({
    urls,
    prefixes: urls,
    tags: z.array(z.string().min(1).max(MAX_TAG_LENGTH).transform(utf8ToBytes)).default([]),
    all: z.boolean().default(false),
    soft: z.boolean().default(false),
    dryRun: z.boolean().default(false),
  })
  .transform(({ urls, prefixes, tags, all, soft, dryRun }): { targets: NamedTarget[]; options: PurgeOptions } => ({
    targets: [
      ...urls.map((url) => ({ kind: 'url', url }) as const),
      ...prefixes.map((prefix) => ({ kind: 'prefix', prefix }) as const),
      ...tags.map((tag) => ({ kind: 'tag', tag }) as const),
      ...(all ? [{ kind: 'all' } as const] : []),
    ],
    options: { soft, dryRun },
  }))
  .superRefine(checkTargets)
  .refine(({ targets }) => targets.length > 0, { error: 'say what to purge: urls, tags, prefixes or all' })
  .refine(({ targets }) => targets.length <= MAX_PURGE_TARGETS, {
    error: `more than ${MAX_PURGE_TARGETS} targets: send several requests`,
  });

const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true');

/** The query of `DELETE /entries`. */
export const entriesQuery = z
  .strictObject({ url: z.string().min(1).max(MAX_URL_LENGTH).transform(urlAsSent), soft: flag, dryRun: flag })
  .transform(({ url, ...options }): { targets: NamedTarget[]; options: PurgeOptions } => ({
    targets: [{ kind: 'url', url }],
    options,
  }))
  .superRefine(checkTargets);

function checkTargets({ targets }: { readonly targets: readonly NamedTarget[] }, check: z.RefinementCtx): void {
  for (const target of targets) {
    const message = targetFault(target);
    if (message !== undefined) check.addIssue({ code: 'custom', message });
  }
}
