// Makes src/protocol.generated.ts from docs/protocol.schema.json, which the gateway's own types make.
// With --check it writes nothing and fails when the file is not what it would write.
//
// It knows the part of JSON Schema that the document uses, and fails at anything else rather than write a type that says less.

import { readFileSync, writeFileSync } from 'node:fs';

const source = new URL('../../docs/protocol.schema.json', import.meta.url);
const target = new URL('../src/protocol.generated.ts', import.meta.url);
const roots = ['ClientMessage', 'ServerMessage', 'CloseCode', 'CloseReason'];
const columns = 120;

const head = `// The messages of roomcast.v1 as they stand on the wire. Types only: nothing here is left at run time.
// Made by scripts/generate-types.mjs from docs/protocol.schema.json; change the gateway's types, not this file.
`;

/** Keywords that a type is made of, and those that no type can say: bounds of numbers, texts and lists. */
const spoken = new Set(
  '$ref anyOf oneOf const enum type properties required items additionalProperties description title default'.split(' '),
);
const unspoken = new Set('format minimum minLength maxLength minItems maxItems'.split(' '));

const primitives = { string: 'string', number: 'number', integer: 'number', boolean: 'boolean', null: 'null' };

/** The file's whole text. */
function generate(definitions) {
  const declarations = topDown(definitions).map((name) => declaration(name, definitions[name]));
  return [head, ...declarations].join('\n');
}

/** The names of all definitions, each after the first that speaks of it. */
function topDown(definitions) {
  const names = new Set();
  const visit = (name) => {
    if (names.has(name)) return;
    if (!(name in definitions)) throw new Error(`docs/protocol.schema.json defines no ${name}`);
    names.add(name);
    referencesOf(definitions[name]).forEach(visit);
  };
  roots.forEach(visit);
  const unreached = Object.keys(definitions).filter((name) => !names.has(name));
  if (unreached.length > 0) throw new Error(`${unreached.join(', ')}: reached from none of ${roots.join(', ')}`);
  return [...names];
}

function referencesOf(schema) {
  if (schema === null || typeof schema !== 'object') return [];
  const own = typeof schema.$ref === 'string' ? [nameOf(schema.$ref)] : [];
  const members = schema.properties ? inOrder(schema).map((name) => schema.properties[name]) : [];
  return [...own, ...members.flatMap(referencesOf), ...Object.values(schema).flatMap(referencesOf)];
}

function nameOf(reference) {
  return reference.replace('#/$defs/', '');
}

function declaration(name, schema) {
  checkKeywords(name, schema);
  const about = comment(schema.description, '');
  if (schema.properties) return `${about}export interface ${name} ${members(name, schema, '')}\n`;
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return `${about}export type ${name} =\n${choices.map((choice) => alternative(name, choice)).join('\n')};\n`;
  return `${about}export type ${name} = ${type(name, schema)};\n`;
}

/** One line of a union, under what is said of it. */
function alternative(where, schema) {
  const about = [schema.title, schema.description].filter(Boolean).join(': ');
  return `${comment(about, '  ')}  | ${type(where, schema)}`;
}

function members(where, schema, indent) {
  const lines = inOrder(schema).map((name) => member(`${where}.${name}`, name, schema, `${indent}  `));
  return `{\n${lines.join('')}${indent}}`;
}

/** The order of writing tells a reader more than the alphabet, and the document keeps it for required members. */
function inOrder(schema) {
  const required = schema.required ?? [];
  return [...required, ...Object.keys(schema.properties).filter((name) => !required.includes(name))];
}

function member(where, name, schema, indent) {
  const property = schema.properties[name];
  const optional = schema.required?.includes(name) ? '' : '?';
  const about = [property.description, defaultOf(property)].filter(Boolean).join(' ');
  return `${comment(about, indent)}${indent}${name}${optional}: ${type(where, property)};\n`;
}

/** What stands in for a member that is left out, unless it is nothing. */
function defaultOf({ default: value }) {
  const isNothing = value === undefined || value === null || value.length === 0;
  return isNothing ? '' : `Default \`${value}\`.`;
}

function type(where, schema) {
  checkKeywords(where, schema);
  // What stands beside a reference narrows it in ways that no type says.
  if (schema.$ref) return nameOf(schema.$ref);
  if ('const' in schema) return literal(schema.const);
  if (schema.enum) return schema.enum.map(literal).join(' | ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((choice) => type(where, choice)).join(' | ');
  if (schema.type) return [schema.type].flat().map((one) => typed(where, one, schema)).join(' | ');
  return 'unknown';
}

function typed(where, name, schema) {
  if (name === 'array') return `${grouped(type(`${where}[]`, schema.items))}[]`;
  if (name === 'object' && schema.properties) return members(where, schema, '');
  if (name === 'object') return `Record<string, ${type(`${where}{}`, schema.additionalProperties)}>`;
  if (name in primitives) return primitives[name];
  throw new Error(`${where}: no type is known for "${name}"`);
}

function grouped(type) {
  return type.includes(' | ') ? `(${type})` : type;
}

function literal(value) {
  return typeof value === 'string' ? `'${value}'` : String(value);
}

function checkKeywords(where, schema) {
  const strange = Object.keys(schema).filter((keyword) => !spoken.has(keyword) && !unspoken.has(keyword));
  if (strange.length > 0) throw new Error(`${where}: teach scripts/generate-types.mjs what ${strange.join(', ')} means`);
}

/** A doc comment on lines of its own, or nothing where nothing is said. */
function comment(text, indent) {
  if (!text) return '';
  const safe = text.replaceAll('*/', '*\\/');
  const line = `${indent}/** ${safe} */\n`;
  if (line.length <= columns + 1) return line;
  return `${indent}/**\n${wrapped(safe, `${indent} * `)}${indent} */\n`;
}

function wrapped(text, margin) {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1);
    if (line && margin.length + line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.map((line) => `${margin}${line}\n`).join('');
}

function run(check) {
  const made = generate(JSON.parse(readFileSync(source, 'utf8')).$defs);
  if (!check) return writeFileSync(target, made);
  if (readFileSync(target, 'utf8') === made) return;
  console.error('src/protocol.generated.ts is stale: write it anew with node scripts/generate-types.mjs');
  process.exitCode = 1;
}

run(process.argv.includes('--check'));
