// Makes docs/api.md from the declarations that the build writes (npm run build): all that the entry points export, with its comments.
// With --check it writes nothing and fails when the page is not what it would write.
//
// It reads declarations as the compiler lays them out: one begins at the margin, and ends at the margin too. A function, class or
// constant without a comment is an error, since the page would say nothing of what it does.

import { readFileSync, writeFileSync } from 'node:fs';

const dist = new URL('../dist/', import.meta.url);
const target = new URL('../docs/api.md', import.meta.url);
const ENTRIES = [
  ['@roomcast/client', 'index.d.ts'],
  ['@roomcast/client/react', 'react/index.d.ts'],
];
const HEAD = `# API

Everything that the package exports, by entry. [README.md](../README.md) says how it goes together, and
[docs/protocol.md](../../docs/protocol.md) what the words mean.

This page is made from the code: \`npm run build && npm run docs\` writes it anew.
`;

/** `name -> { comment, text, speaks }` of a file; `speaks` where it can be called or made. */
function declarationsOf(path) {
  const found = new Map();
  let comment = [];
  let open;
  for (const line of readFileSync(new URL(path, dist), 'utf8').split('\n')) {
    if (!open && /^(\/\*\*| \*)/.test(line)) {
      comment.push(line);
      continue;
    }
    const head = open ? undefined : /^(?:export )?(?:declare )?(function|const|class|interface|type) (\w+)\b/.exec(line);
    if (head) open = { name: head[2], speaks: /function|const|class/.test(head[1]), comment, lines: [] };
    comment = [];
    open?.lines.push(line);
    if (!open || !/^(\}|\S.*;$| \| .*;$).*/.test(line)) continue;
    found.set(open.name, { ...open, text: open.lines.join('\n').replace(/^(export )?(declare )?/, '') });
    open = undefined;
  }
  if (open) throw new Error(`${path}: ${open.name} has no end`);
  return found;
}

/** The exported names of an entry, each with the file that declares it. */
function exportsOf(entry) {
  const base = new URL(entry, dist);
  const local = (from) => new URL(from.replace(/\.js$/, '.d.ts'), base).href.slice(dist.href.length);
  const text = readFileSync(base, 'utf8');
  const found = [...text.matchAll(/^export declare \w+ (\w+)/gm)].map(([, name]) => [name, entry]);
  for (const [, names, from] of text.matchAll(/^export (?:type )?\{ (.+) \} from '(.+)';$/gm)) {
    const again = ENTRIES.some(([, path]) => path === local(from)) ? exportsOf(local(from)) : [];
    for (const name of names.split(', ')) found.push(again.find(([told]) => told === name) ?? [name, local(from)]);
  }
  for (const [, from] of text.matchAll(/^export type \* from '(.+)';$/gm)) {
    for (const name of declarationsOf(local(from)).keys()) found.push([name, local(from)]);
  }
  return found;
}

/** What a comment says, as Markdown. */
function prose(comment) {
  const text = comment.join('\n').replace(/^\/\*\*\s*|\s*\*\/$/g, '').replace(/^ ?\* ?/gm, '').trim();
  return text.replace(/^@throws (.*)/gm, 'Throws $1.');
}

/** The declaration, before it what only its own file knows of the types that it is made of. */
function code({ text, name }, siblings, exported) {
  const parts = [...siblings.values()].filter((other) => other.name !== name && !exported.has(other.name) && new RegExp(`\\b${other.name}\\b`).test(text));
  return [...parts.map((part) => [...part.comment, part.text].join('\n')), text].join('\n\n').replace(/^( {4})+/gm, (indent) => '  '.repeat(indent.length / 4));
}

function section([entry, path], exportedAnywhere) {
  const told = ENTRIES.slice(0, ENTRIES.findIndex(([, other]) => other === path)).flatMap(([, other]) => exportsOf(other));
  const isTold = ([name, file]) => told.some((other) => other[0] === name && other[1] === file);
  const entries = exportsOf(path).filter((item) => !isTold(item)).map(([name, file]) => {
    const siblings = declarationsOf(file);
    const declaration = siblings.get(name);
    if (!declaration) throw new Error(`${entry} exports ${name}, which ${file} does not declare in a form that this script knows`);
    const about = prose(declaration.comment);
    if (declaration.speaks && !about) throw new Error(`${name} of ${entry} has no comment: say there what it does`);
    const body = `### \`${name}\`\n\n${about ? `${about}\n\n` : ''}\`\`\`ts\n${code(declaration, siblings, exportedAnywhere)}\n\`\`\`\n`;
    return { name, speaks: declaration.speaks, body };
  });
  const parts = [[true, ''], [false, `## Types of \`${entry}\`\n\n`]].map(([speaks, title]) => {
    const chosen = entries.filter((item) => item.speaks === speaks).sort((one, other) => (one.name < other.name ? -1 : 1));
    return title + chosen.map(({ body }) => body).join('\n');
  });
  const again = exportsOf(path).filter(isTold).map(([name]) => `\`${name}\``).sort();
  const also = again.length ? `It also exports what is told above: ${again.join(', ')}.\n\n` : '';
  return `## \`${entry}\`\n\n${also}${parts.join('\n')}`;
}

const exportedAnywhere = new Set(ENTRIES.flatMap(([, path]) => exportsOf(path).map(([name]) => name)));
const page = [HEAD, ...ENTRIES.map((entry) => section(entry, exportedAnywhere))].join('\n');
if (!process.argv.includes('--check')) writeFileSync(target, page);
else if (readFileSync(target, 'utf8') !== page) {
  console.error('docs/api.md is not what the declarations say: `npm run build && npm run docs` writes it anew');
  process.exitCode = 1;
}
