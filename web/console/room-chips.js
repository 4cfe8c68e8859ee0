// The subscriptions as chips, each with a button that ends it.

import { byId, element } from './dom.js';

/** @param {(room: string) => void} onRemove */
export function renderRooms(rooms, enabled, onRemove) {
  const list = byId('rooms');
  const shown = [...rooms].sort();
  // Chips are only made anew when they differ, so that the keyboard focus stays where it is.
  const key = JSON.stringify([shown, enabled]);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...shown.map((room) => chip(room, enabled, onRemove)));
}

function chip(room, enabled, onRemove) {
  const remove = element('button', { type: 'button', disabled: !enabled, ariaLabel: `Unsubscribe from ${room}`, title: 'Unsubscribe' }, '×');
  remove.addEventListener('click', () => {
    onRemove(room);
    byId('pattern').focus();
  });
  return element('li', {}, element('span', {}, room), remove);
}

/** Patterns worth trying, once the org is known. */
export function suggestPatterns(org) {
  const patterns = [`kpi:${org}`, `kpi:${org}:*:support`, `alerts:${org}:**`, `*:${org}:**`];
  byId('patterns').replaceChildren(...patterns.map((value) => element('option', { value })));
}
