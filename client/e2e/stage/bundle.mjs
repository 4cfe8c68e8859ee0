// Bundles the pages with the built package, as an application would.

import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** The text of a script with all that it imports; `entry` is relative to this folder's parent. */
export async function bundle(entry) {
  const made = await build({
    entryPoints: [fileURLToPath(new URL(`../${entry}`, import.meta.url))],
    bundle: true,
    format: 'esm',
    write: false,
    target: 'es2022',
    // React's production build is smaller but says nothing of mistakes.
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  return made.outputFiles[0].text;
}
