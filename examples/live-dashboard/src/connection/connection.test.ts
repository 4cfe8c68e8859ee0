import { describe, expect, it, vi } from 'vitest';
import { DashboardStore } from './store.ts';
import { forgetToken, foundToken, keepToken } from './token.ts';

function storage() {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
}

describe('the token', () => {
  it('is taken out of the address and kept for the tab', () => {
    const tab = storage();
    const replaceState = vi.fn();
    const location = { hash: '#token=abc', pathname: '/page', search: '?x=1' };
    expect(foundToken(location, { replaceState }, tab)).toBe('abc');
    expect(replaceState).toHaveBeenCalledWith(null, '', '/page?x=1');
    expect(foundToken({ ...location, hash: '#/sales' }, { replaceState }, tab)).toBe('abc');
    forgetToken(tab);
    expect(foundToken({ ...location, hash: '' }, { replaceState }, tab)).toBeNull();
    keepToken('def', tab);
    expect(foundToken({ ...location, hash: '' }, { replaceState }, tab)).toBe('def');
    expect(replaceState).toHaveBeenCalledTimes(1);
  });
});

describe('the store', () => {
  const publication = (seq: number, replayed = false) => ({ room: 'kpi:o:d:q', event: 'kpi:update', data: { run: 'r', seq }, replayed });

  function opened() {
    const due: (() => void)[] = [];
    let nowMs = 0;
    const store = new DashboardStore({ now: () => nowMs, after: (_, callback) => void due.push(callback) });
    const seen = vi.fn();
    store.subscribe(seen);
    const draw = () => due.splice(0).forEach((callback) => callback());
    return { store, seen, draw, at: (ms: number) => void (nowMs = ms) };
  }

  it('draws many publications at once', () => {
    const { store, seen, draw } = opened();
    for (let seq = 1; seq <= 50; seq += 1) store.receive(publication(seq));
    expect(store.shown().dashboard.strip.received).toBe(0);
    draw();
    expect(store.shown().dashboard.strip.received).toBe(50);
    expect(seen).toHaveBeenCalledTimes(1);
  });

  it('tells an outage from its beginning to the first live publication', () => {
    const { store, draw, at } = opened();
    store.connection('connected');
    store.receive(publication(1));
    at(1_000);
    store.connection('reconnecting');
    draw();
    expect(store.shown().outage.phase).toBe('away');
    at(3_500);
    store.connection('connected');
    store.receive(publication(2, true));
    store.receive(publication(3));
    draw();
    expect(store.shown().outage).toEqual({ phase: 'caughtUp', awayMs: 2_500, replayed: 1, missing: 0, gaps: 0 });
    expect(store.shown().dashboard.strip.cells.map(({ kind }) => kind)).toEqual(['live', 'cut', 'replayed', 'live']);
  });

  it('notes a gap that the gateway admits', () => {
    const { store, draw } = opened();
    store.admitGap({ from: null, to: 'x', reason: 'log_lost' });
    draw();
    expect(store.shown().dashboard.strip.gaps).toBe(1);
  });
});
