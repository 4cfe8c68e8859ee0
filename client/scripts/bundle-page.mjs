// Bundles the client into web/console/roomcast.js for the page that the gateway serves, so that building the gateway needs no Node.
// With --check it writes nothing and fails when the file is not what it would write.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const source = fileURLToPath(new URL('../src/', import.meta.url));
const target = new URL('../../web/console/roomcast.js', import.meta.url);

const { outputFiles } = await build({
  // What the page imports, and nothing else.
  stdin: { contents: "export { createClient, webSocket } from './index.ts'", resolveDir: source, loader: 'ts' },
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  // Nothing of the machine that bundles may show in the file.
  tsconfigRaw: '{}',
  banner: { js: '// The client of client/src, bundled by client/scripts/bundle-page.mjs. Change it there.' },
  write: false,
});
const made = outputFiles[0].text;

if (!process.argv.includes('--check')) {
  writeFileSync(target, made);
} else if (readFileSync(target, 'utf8') !== made) {
  console.error('web/console/roomcast.js is stale: bundle it anew with node scripts/bundle-page.mjs in client/');
  process.exitCode = 1;
}
