// Filters: reads the language of docs/filters.md, brings it into the form by which the server tells filters apart, and judges by the same
// rules. Pure, and a module of its own: whoever has no filter does not load it.

import { RoomcastError } from './fault.js';
import type { Filter, Judged } from './types.js';

/** One part of a filter, with its text in canonical form. */
interface Part {
  kind: 'and' | 'or' | 'not' | 'term';
  text: string;
  parts: Part[];
  holds: (judged: Judged) => boolean;
}

type Scalar = string | number | boolean | null;
/** A value of a filter, and how it is written. */
interface Value {
  is: Scalar;
  text: string;
}

const KEYWORDS = /^(and|or|not|in|prefix|exists|true|false|null)$/i;
/** The largest whole number up to which all are numbers of JavaScript too. */
const EXACT_MAX = 2 ** 53;

/**
 * A filter for `subscribe`, such as `where("severity >= 3 and region in ('eu', 'us')")`.
 *
 * @throws `INVALID_MESSAGE` for what is none, with the place in `data.at`
 */
export function where(text: string): Filter {
  const { text: canonical, holds } = parse(text);
  return { text: canonical, passes: holds };
}

function parse(text: string): Part {
  let at = 0;

  function wrong(why: string): never {
    const found = JSON.stringify(text.slice(at, at + 16)) ?? '';
    throw new RoomcastError('INVALID_MESSAGE', `the filter cannot be read at ${at}, ${at < text.length ? found : 'the end'}: ${why}`, { data: { at } });
  }

  /** What stands ahead, behind white space, if it has this form. */
  function ahead(form: RegExp): string | undefined {
    at += /^[ \t\r\n]*/.exec(text.slice(at))![0].length;
    return form.exec(text.slice(at))?.[0];
  }

  function take(form: RegExp): string | undefined {
    const taken = ahead(form);
    at += taken?.length ?? 0;
    return taken;
  }

  const any = (): Part => chain('or', all);
  const all = (): Part => chain('and', one);

  function chain(kind: 'and' | 'or', next: () => Part): Part {
    const parts = [next()];
    while (take(kind === 'and' ? /^and(?![\w-])/i : /^or(?![\w-])/i)) parts.push(next());
    return joined(kind, parts);
  }

  function one(): Part {
    if (take(/^\(/)) {
      const inner = any();
      if (!take(/^\)/)) wrong('expected and, or, or a closing bracket');
      return inner;
    }
    return take(/^not(?![\w-])/i) ? negated(one()) : term();
  }

  function term(): Part {
    const [path, find] = field();
    const part = (said: string, test: (found: unknown) => boolean): Part => ({
      kind: 'term',
      text: `${path} ${said}`,
      parts: [],
      holds(judged) {
        const found = find(judged);
        return found !== undefined && test(found);
      },
    });
    if (take(/^exists(?![\w-])/i)) return part('exists', () => true);
    if (take(/^prefix(?![\w-])/i)) {
      ahead(/^/);
      const before = at;
      const { is, text } = scalar();
      if (typeof is !== 'string') {
        at = before;
        return wrong('a prefix is a text');
      }
      return part(`prefix ${text}`, (found) => typeof found === 'string' && found.startsWith(is));
    }
    if (take(/^in(?![\w-])/i)) {
      const values = list();
      return part(`in (${values.map((value) => value.text).join(', ')})`, (found) => values.some(({ is }) => is === found));
    }
    const operator = take(/^(!=|[<>]=?|=)/) ?? wrong('expected =, !=, >, >=, <, <=, in, prefix or exists');
    const { is, text } = scalar();
    return part(`${operator} ${text}`, (found) => {
      if (operator === '=') return found === is;
      if (operator === '!=') return found !== is;
      const order = compared(found, is);
      return order !== undefined && (order === 0 ? operator.length > 1 : order < 0 === operator.startsWith('<'));
    });
  }

  function list(): Value[] {
    if (!take(/^\(/)) wrong("expected a list in brackets, as in ('eu', 'us')");
    const values = [scalar()];
    while (!take(/^\)/)) {
      if (!take(/^,/)) wrong('expected a comma or a closing bracket');
      values.push(scalar());
    }
    return inOrder(values);
  }

  function field(): [string, (judged: Judged) => unknown] {
    const quoted = ahead(/^['"]/);
    const first = step(false);
    const root = !quoted && /^(data|headers)$/.test(first) ? first : undefined;
    const steps = root ? [] : [first];
    while (text[at] === '.') {
      at++;
      steps.push(step(true));
    }
    // What would be taken for a root by itself needs one in front.
    const shown = root === 'headers' || !steps[0] || /^(data|headers)$/.test(steps[0]) ? [root ?? 'data'] : [];
    for (const name of steps) shown.push(isPlain(name, shown.length > 0) ? name : inQuotes(name));
    return [shown.join('.'), (judged) => steps.reduce(member, root === 'headers' ? judged.headers : judged.data)];
  }

  function step(follows: boolean): string {
    if (/['"]/.test(text[at] ?? '')) return quotedText();
    const name = /^[\w-]*/.exec(text.slice(at))![0];
    if (!isPlain(name, follows)) wrong("expected the name of a field; quote it where it is no plain name or one of the filter's own words");
    at += name.length;
    return name;
  }

  function scalar(): Value {
    if (ahead(/^['"]/)) return textValue(quotedText());
    const digits = ahead(/^[-\d][\w.+@-]*/);
    if (digits) return numberValue(digits) ?? wrong("that is no number; quote texts, as in '2026-01-31'");
    const word = ahead(/^[a-z_][\w-]*/i) ?? wrong('expected a number, a text, true, false or null');
    const named = { true: true, false: false, null: null }[word.toLowerCase()];
    if (named === undefined && KEYWORDS.test(word)) wrong("that is one of the filter's own words; quote it to mean the text");
    at += word.length;
    return named === undefined ? textValue(word) : { is: named, text: String(named) };
  }

  function numberValue(written: string): Value | undefined {
    const is = Number(written);
    if (!/^-?(0|[1-9]\d*)(\.\d+)?(e[-+]?\d+)?$/i.test(written) || !Number.isFinite(is)) return undefined;
    at += written.length;
    return { is, text: numberText(written, is) };
  }

  function quotedText(): string {
    const opened = at;
    const quote = text[at++];
    let read = '';
    for (; at < text.length; at++) {
      if (text[at] === quote) {
        at++;
        return read;
      }
      if (text[at] === '\\' && !/['"\\]/.test(text[++at] ?? '')) {
        at--;
        wrong('a backslash stands only before a quote or another backslash');
      }
      read += text[at];
    }
    at = opened;
    return wrong('the text has no closing quote');
  }

  const whole = any();
  if (ahead(/^[^]/)) wrong('expected and, or, or the end');
  return whole;
}

function joined(kind: 'and' | 'or', parts: Part[]): Part {
  const flat = inOrder(parts.flatMap((part) => (part.kind === kind ? part.parts : [part])));
  if (!flat[1]) return flat[0]!;
  return {
    kind,
    parts: flat,
    text: flat.map((part) => (kind === 'and' && part.kind === 'or' ? `(${part.text})` : part.text)).join(` ${kind} `),
    holds: (judged) => (kind === 'and' ? flat.every((part) => part.holds(judged)) : flat.some((part) => part.holds(judged))),
  };
}

function negated(inner: Part): Part {
  if (inner.kind === 'not') return inner.parts[0]!;
  const text = inner.kind === 'term' ? `not ${inner.text}` : `not (${inner.text})`;
  return { kind: 'not', parts: [inner], text, holds: (judged) => !inner.holds(judged) };
}

/** In the order of their texts, each once. */
function inOrder<T extends { text: string }>(parts: T[]): T[] {
  const byText = new Map(parts.map((part) => [part.text, part]));
  return [...byText.values()].sort((one, other) => codePoints(one.text, other.text));
}

const textValue = (is: string): Value => ({ is, text: inQuotes(is) });
const inQuotes = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`;
const isPlain = (name: string, follows: boolean) => (follows ? /^[a-z\d_][\w-]*$/i : /^[a-z_][\w-]*$/i).test(name) && !KEYWORDS.test(name);

/** As the server writes numbers: whole ones in digits, all others with an exponent. */
function numberText(written: string, is: number): string {
  const whole = /^-?\d+$/.test(written) && BigInt(written);
  if (whole !== false && whole >= -(2n ** 63n) && whole < 2n ** 64n) return String(whole);
  return Number.isInteger(is) && Math.abs(is) <= EXACT_MAX ? String(is || 0) : is.toExponential().replace('+', '');
}

/** A member of an object or an element of a list; `undefined` where there is none. */
function member(value: unknown, name: string): unknown {
  if (Array.isArray(value)) return /^(0|[1-9]\d*)$/.test(name) ? value[+name] : undefined;
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? value[name as never] : undefined;
}

/** Below, at or above 0, as for sorting; `undefined` for what is in no order. */
function compared(found: unknown, wanted: Scalar): number | undefined {
  if (typeof found === 'number' && typeof wanted === 'number') return found - wanted;
  return typeof found === 'string' && typeof wanted === 'string' ? codePoints(found, wanted) : undefined;
}

/** By code points, where `<` goes by halves of surrogate pairs. */
function codePoints(one: string, other: string): number {
  const [left, right] = [[...one], [...other]];
  const at = left.findIndex((char, index) => char !== right[index]);
  return at < 0 ? left.length - right.length : left[at]!.codePointAt(0)! - (right[at]?.codePointAt(0) ?? -1);
}
