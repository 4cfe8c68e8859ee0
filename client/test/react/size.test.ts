import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const entry = fileURLToPath(new URL('../../src/react/', import.meta.url));

/** Bytes that hooks add to a page which has React and the core already, minified and gzipped. */
async function sizeOf(names: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: `export ${names} from './index.ts'`, resolveDir: entry, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['react', '../index.js'],
  });
  const { contents } = outputFiles[0]!;
  return gzipSync(contents, { level: 9 }).length;
}

// esbuild needs a moment for its process when the machine is busy.
const patient = { timeout: 30_000 };

test('a page with a provider, the state of the connection and KPIs takes at most 2 KiB', patient, async () => {
  expect(await sizeOf('{ RoomcastProvider, useWebSocket, useKPIUpdates }')).toBeLessThanOrEqual(2_048);
});

test('all hooks and components together take at most 3.5 KiB', patient, async () => {
  expect(await sizeOf('*')).toBeLessThanOrEqual(3_584);
});
