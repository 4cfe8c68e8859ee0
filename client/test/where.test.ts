import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RoomcastError, where } from '../src/index.js';

type Case = Record<string, unknown> & { rule: string };

/** The cases of a fixture, each with what its rule says for all. */
function cases(file: string): Case[] {
  const rules = JSON.parse(readFileSync(new URL(`../../fixtures/filters/${file}.json`, import.meta.url), 'utf8')) as (Case & { cases: Case[] })[];
  return rules.flatMap(({ cases, ...rule }) => cases.map((one) => ({ ...rule, ...one })));
}

describe('the language is the server’s', () => {
  test.each(cases('canonical'))('$written is $canonical', ({ written, canonical }) => {
    expect(where(written as string).text).toBe(canonical);
    expect(where(canonical as string).text).toBe(canonical);
  });

  test.each(cases('refused'))('$filter is refused at $at', ({ filter, at }) => {
    const fault = caught(() => where(filter as string));
    expect(fault).toMatchObject({ code: 'INVALID_MESSAGE', data: { at } });
  });

  test.each(cases('judged'))('$rule $filter: $passes', ({ filter, data, headers, passes }) => {
    expect(where(filter as string).passes({ data, headers: headers as Record<string, string> })).toBe(passes);
  });
});

test('numbers are written as the server writes them', () => {
  const written = (number: string) => where(`a = ${number}`).text;
  expect(written('18446744073709551615')).toBe('a = 18446744073709551615');
  expect(written('-9223372036854775808')).toBe('a = -9223372036854775808');
  expect(written('18446744073709551616')).toBe('a = 1.8446744073709552e19');
  expect(written('1.5e-7')).toBe('a = 1.5e-7');
  expect(written('9007199254740992.0')).toBe('a = 9007199254740992');
});

test('a mistake is shown with its place', () => {
  expect(caught(() => where("status = 'open' & amount > 3")).message).toBe(
    'the filter cannot be read at 16, "& amount > 3": expected and, or, or the end',
  );
});

function caught(act: () => unknown): RoomcastError {
  try {
    act();
  } catch (error) {
    return error as RoomcastError;
  }
  throw new Error('nothing was thrown');
}
