// How many bytes a page pays: bundles, minifies and compresses what it would import, and fails above the budget.

import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

/** The budget in bytes after gzip -9; none for what is only told. */
const IMPORTS = [
  { what: 'core', code: "export { createClient } from './src/index.ts'", budget: 7_168 },
  { what: 'core, kept over reloads, with all transports', code: "export { createClient, keepIn, fallback, webSocket, sse, longPoll } from './src/index.ts'" },
  { what: 'everything but React', code: "export * from './src/index.ts'" },
  { what: 'hooks and components, beside React and what they take from the entry without it', code: "export * from './src/react/index.ts'", external: /^react|index\.js$/, budget: 2_048 },
  { what: 'a page with all hooks and components: with core, stores, presence and collections, beside React', code: "export * from './src/react/index.ts'", external: /^react/, budget: 13_568 },
];

async function sizeOf({ code, external }) {
  const entry = {
    name: 'entry',
    resolveId: (id) => (id === 'entry' ? id : undefined),
    load: (id) => (id === 'entry' ? code.replaceAll('./', `${process.cwd()}/`) : undefined),
  };
  const bundle = await rolldown({ input: 'entry', plugins: [entry], external: (id, from) => from !== 'entry' && id !== 'entry' && !!external?.test(id) });
  // Comments cost no page anything: whoever bundles it drops them.
  const { output } = await bundle.generate({ format: 'esm', minify: true, comments: false });
  return gzipSync(output[0].code, { level: 9 }).length;
}

let over = false;
for (const entry of IMPORTS) {
  const size = await sizeOf(entry);
  const budget = entry.budget ? ` of ${entry.budget}` : '';
  console.log(`${String(size).padStart(6)}${budget} bytes  ${entry.what}`);
  over ||= size > (entry.budget ?? Infinity);
}
if (over) {
  console.error('the budget is exceeded: make it smaller, or let what not every page needs be imported by itself');
  process.exitCode = 1;
}
