import type { Config } from './schema.js';

/** Gives a configuration in a JavaScript or TypeScript file its type: `export default defineConfig({ … })`. */
export function defineConfig(config: Config): Config {
  return config;
}
