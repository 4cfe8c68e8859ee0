import { describe, expect, it } from 'vitest';
import { Day } from '../../publisher/model/day.js';
import { Random } from '../../publisher/model/random.js';
import { Numbering } from '../../publisher/numbering.js';
import { due } from '../../publisher/programme.js';
import { like, read } from './reading.ts';
import { WHOLE_ORG, addressOf, covers, fragmentOf, scopeOf } from './scope.ts';
import { EMPTY_STATE, received } from './state.ts';
import { figuresOf, presenceOf, tableOf } from './view.ts';

/** What the real publisher says, given to the page as it would come. */
function published(ticks: number) {
  const day = new Day('2026-03-02', new Random(7), 'run');
  day.advance(2.5 * 3600);
  const numbering = new Numbering('run');
  let state = EMPTY_STATE;
  for (let tick = 0; tick < ticks; tick += 1) {
    const all = due(day, tick, 'acme').map((publication) => numbering.number(publication));
    for (const { room, event, data } of JSON.parse(JSON.stringify(all))) state = received(state, { room, event, data, replayed: false });
    day.advance(30);
  }
  return { state, day };
}

describe('the state', () => {
  it('is complete after the publisher\'s first tick', () => {
    const { state } = published(1);
    expect(state.queues.size).toBe(9);
    expect([...state.queues.values()].every(({ updates, computed, backlog }) => updates.length === 1 && computed !== null && backlog !== null)).toBe(true);
    expect([...state.rosters.keys()].sort()).toEqual(['sales', 'service', 'technical']);
    expect(state.strip).toMatchObject({ missing: 0, twice: 0, gaps: 0 });
  });

  it('agrees with the model it was published from', () => {
    const { state } = published(5);
    const org = figuresOf(state, WHOLE_ORG);
    const rows = tableOf(state, WHOLE_ORG);
    const departments = rows.filter(({ depth }) => depth === 1);
    const queues = rows.filter(({ depth }) => depth === 2);
    expect([rows.length, departments.length, queues.length]).toEqual([13, 3, 9]);
    for (const part of [departments, queues]) expect(part.reduce((sum, { figures }) => sum + figures.today.offered, 0)).toBe(org.today.offered);
  });

  it('shows a department by itself, and a queue among its neighbours', () => {
    const { state } = published(1);
    expect(tableOf(state, { department: 'sales', queue: 'orders' }).map(({ scope }) => fragmentOf(scope)))
      .toEqual(['#/sales', '#/sales/orders', '#/sales/partners', '#/sales/renewals']);
    const presence = presenceOf(state, { department: 'sales', queue: 'orders' });
    expect(presence.agents.every(({ queue }) => queue === 'orders')).toBe(true);
    expect(Object.values(presence.counts).reduce((sum, count) => sum + count)).toBe(presence.agents.length);
  });

  it('takes nonsense as received, and goes on', () => {
    const nonsense = [null, 1, 'x', [], {}, { run: 'r', seq: 'x' }, { day: 'd', time_s: NaN }];
    const state = nonsense.reduce((next, data) => received(next, { room: 'kpi:acme:sales:orders', event: 'kpi:update', data, replayed: false }), EMPTY_STATE);
    expect(state.strip.received).toBe(nonsense.length);
    expect(state.queues.size).toBe(0);
    expect(received(state, { room: 'kpi:acme', event: 'unheard:of', data: null, replayed: true }).strip.replayed).toBe(1);
  });
});

describe('reading', () => {
  it('compares with an example, field by field', () => {
    expect(like({ a: 1, more: 2 }, { a: 0 })).toBe(true);
    expect(like({ a: '1' }, { a: 0 })).toBe(false);
    expect(like({ list: [{ a: 1 }, { b: 1 }] }, { list: [{ a: 0 }] })).toBe(false);
    expect(like({ list: [] }, { list: [{ a: 0 }] })).toBe(true);
    expect(like([1, 2], [0, 0, 0])).toBe(false);
  });

  it('wants the place that an event belongs to', () => {
    const data = { day: 'd', time_s: 1, agents: [] };
    expect(read({ event: 'attendance:update', room: 'attendance:acme:sales', data })).toMatchObject({ kind: 'attendance', department: 'sales' });
    expect(read({ event: 'attendance:update', room: 'attendance:acme', data })).toBeNull();
  });
});

describe('scopes', () => {
  it('stand in the address and are read back', () => {
    for (const scope of [WHOLE_ORG, { department: 'sales', queue: null }, { department: 'sales', queue: 'first-line' }]) {
      expect(scopeOf(fragmentOf(scope))).toEqual(scope);
    }
    expect(scopeOf('#token=x')).toEqual(WHOLE_ORG);
    expect(covers({ department: 'sales', queue: null }, 'sales', 'orders')).toBe(true);
    expect(covers({ department: 'sales', queue: 'other' }, 'sales', 'orders')).toBe(false);
    expect(addressOf('kpi:acme:sales:orders')).toEqual({ channel: 'kpi', department: 'sales', queue: 'orders' });
  });
});
