// Type-checks the code of README.md, of docs/ and of the repository's README.md: every block that is `ts` or `tsx`, each as a module of
// its own against the built package (npm run build). docs/api.md is left out, being made from what is checked here. Names that readers put
// in for themselves are declared below.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CLIENT = join(dirname(fileURLToPath(import.meta.url)), '..');
// Within the package, so that it finds itself by its name.
const WORK = join(CLIENT, '.cache/documents');

/** What a block may use without saying where it comes from. */
const GIVEN = {
  client: `declare const client: import('@roomcast/client').Client;`,
  fetchToken: 'declare function fetchToken(): Promise<string>;',
  load: 'declare function load(): Promise<void>;',
  show: 'declare function show(...things: unknown[]): void;',
};

const CONFIG = { extends: '../../tsconfig.json', compilerOptions: { noUnusedLocals: false }, include: ['.'] };

/** The blocks of a page, with the line that each begins in. */
function blocksOf(page) {
  const found = [];
  const lines = readFileSync(join(CLIENT, page), 'utf8').split('\n');
  for (let at = 0; at < lines.length; at++) {
    const kind = /^```(tsx?)\b/.exec(lines[at])?.[1];
    if (!kind) continue;
    const end = lines.indexOf('```', at);
    if (end < 0) throw new Error(`${page}:${at + 1}: a block without end`);
    found.push({ page, kind, line: at + 1, text: lines.slice(at + 1, end).join('\n') });
  }
  return found;
}

function given(text) {
  const own = (name) => new RegExp(`\\b(const|let|function)\\s+${name}\\b|import [^;]*\\b${name}\\b[^;]*;`).test(text);
  return Object.entries(GIVEN).filter(([name]) => new RegExp(`\\b${name}\\b`).test(text) && !own(name)).map(([, declaration]) => declaration);
}

const documents = readdirSync(join(CLIENT, 'docs')).filter((name) => name.endsWith('.md') && name !== 'api.md');
const pages = ['README.md', '../README.md', ...documents.map((name) => `docs/${name}`)];
const blocks = pages.flatMap(blocksOf);
rmSync(WORK, { recursive: true, force: true });
mkdirSync(WORK, { recursive: true });
writeFileSync(join(WORK, 'tsconfig.json'), JSON.stringify(CONFIG));
for (const { page, kind, line, text } of blocks) {
  const name = `${page.replace(/\W+/g, '-')}-line-${line}.${kind}`;
  writeFileSync(join(WORK, name), [...given(text), text, 'export {};', ''].join('\n'));
}
try {
  execFileSync(join(CLIENT, 'node_modules/.bin/tsc'), ['--noEmit', '-p', WORK], { stdio: 'inherit' });
  console.log(`documents: ${blocks.length} blocks of ${pages.length} pages are right`);
} catch {
  console.error('documents: the names above say which page and line a block begins in');
  process.exitCode = 1;
}
