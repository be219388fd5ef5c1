import createError from '@fastify/error';

/** Options of the plugin, of a route, or of `app.memcached.lookup` and `.store` that can not be used; says where and why. */
export const InvalidOptionsError = createError<[where: string, problems: string]>(
  'FST_LOOKASIDE_INVALID_OPTIONS',
  'lookaside: %s: %s',
);

/** `app.memcached` is there already: from a registration in this context, or in one that encloses it. */
export const AlreadyRegisteredError = createError<[]>(
  'FST_LOOKASIDE_ALREADY_REGISTERED',
  'lookaside is registered already in this context or in one around it: register it once, and give single routes ' +
    'another memcached by their option "server"',
);

/** A tag that `reply.cacheTags` can not take. */
export const InvalidTagError = createError<[tag: string, fault: string]>(
  'FST_LOOKASIDE_INVALID_TAG',
  'lookaside: the tag "%s" can not be used: %s',
);
