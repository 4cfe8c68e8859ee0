import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const entry = fileURLToPath(new URL('../../src/react/', import.meta.url));

/** Bytes after minifying and gzip that a page pays for what it imports from `/react`, beside what is external. */
async function sizeOf(names: string, ...external: string[]): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: `export ${names} from './index.ts'`, resolveDir: entry, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['react', ...external],
  });
  const { contents } = outputFiles[0]!;
  return gzipSync(contents, { level: 9 }).length;
}

// esbuild needs a moment for its process when the machine is busy.
const patient = { timeout: 30_000 };

test('all hooks and components take at most 2 KiB beside the entry without React', patient, async () => {
  expect(await sizeOf('*', '../index.js')).toBeLessThanOrEqual(2_048);
});

test.each([
  ['{ RoomcastProvider, useWebSocket, useKPIUpdates }', 9_216],
  ['*', 14_336],
])('a page that imports %s pays at most %i bytes in all, with the core and the stores below', patient, async (names, bytesMax) => {
  expect(await sizeOf(names)).toBeLessThanOrEqual(bytesMax);
});
