// Bundles the pages with the built package, as an application would.

import { join } from 'node:path';
import { build } from 'esbuild';
import { CLIENT } from './places.mjs';

/** The text of a script with all that it imports; `entry` is a path within the client's folder. */
export async function bundle(entry) {
  const made = await build({
    entryPoints: [join(CLIENT, entry)],
    bundle: true,
    format: 'esm',
    write: false,
    target: 'es2022',
    // React's production build is smaller but says nothing of mistakes.
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  return made.outputFiles[0].text;
}
