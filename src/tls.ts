export { attach } from './tls/attach.js';
export { fleetCounts } from './tls/fleet-counters.js';
export { Generation } from './tls/generation.js';
export type { FleetOptions, SessionOptions, SharedTlsOptions } from './tls/options.js';
export { lookasideTls, lookasideTls as default, type TlsPluginOptions } from './tls/plugin.js';
export { secretsOf } from './tls/secrets.js';
export { http2ServerFactory, serverFactory } from './tls/server-factory.js';
export { SharedTls, tlsOptions } from './tls/shared-tls.js';
