// Draws the journal, newest first, at most once per frame; rows that fell out of the journal's bound leave the page too.

import { byId, element, setHidden, setText } from './dom.js';
import { ENTRIES_MAX, matches, preview } from './journal.js';
import { peek } from './strip.js';

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false });

export class MessageList {
  constructor(journal) {
    this.journal = journal;
    this.list = byId('messages');
    this.shown = 0;
    this.paused = false;
    this.filter = '';
  }

  setFilter(text) {
    this.filter = text.trim();
    this.#startOver();
  }

  setPaused(paused) {
    this.paused = paused;
    byId('pause').setAttribute('aria-pressed', String(paused));
    this.render();
  }

  clear() {
    this.journal.clear();
    this.#startOver();
  }

  render() {
    const fresh = this.journal.after(this.shown);
    setText(byId('pause'), this.paused ? `Continue${fresh.length > 0 ? ` (${fresh.length})` : ''}` : 'Pause');
    setHidden(byId('empty'), this.journal.entries.length > 0);
    if (this.paused || fresh.length === 0) return;
    this.shown = this.journal.written;
    const rows = fresh.filter((entry) => matches(entry, this.filter)).map(row).reverse();
    this.list.prepend(...rows);
    while (this.list.children.length > ENTRIES_MAX) this.list.lastElementChild.remove();
  }

  #startOver() {
    this.list.replaceChildren();
    const paused = this.paused;
    // What is drawn anew after a change of the filter is the whole journal, also while paused.
    this.shown = 0;
    this.paused = false;
    this.render();
    this.setPaused(paused);
  }
}

function row(entry) {
  if (entry.kind === 'publication') return publicationRow(entry);
  const time = element('time', {}, clock.format(entry.at));
  return element('li', { className: 'turn', data: { kind: entry.kind } }, time, element('span', {}, entry.text));
}

function publicationRow({ publication }) {
  const { id, ts, room, event, data, priority, replayed } = publication;
  const seq = peek(id)?.seq;
  const badges = [];
  if (replayed) badges.push(badge('replayed'));
  if (id === undefined) badges.push(badge('ephemeral'));
  if (priority !== 'medium') badges.push(badge(priority));
  const summary = element('summary', {},
    element('time', { dateTime: ts }, clock.format(new Date(ts))),
    element('span', { className: 'seq', title: 'Number in the log' }, seq === undefined ? '' : `#${seq}`),
    element('span', { className: 'room' }, room),
    element('span', { className: 'event' }, event),
    element('span', { className: 'badges' }, ...badges),
    element('span', { className: 'data' }, preview(data)));
  const details = element('details', {}, summary);
  // The body is only made when it is opened: most rows never are.
  details.addEventListener('toggle', () => details.append(body(publication)), { once: true });
  return element('li', { data: { replayed: replayed ? 'yes' : '', priority } }, details);
}

function body({ id, ts, priority, headers, data }) {
  const facts = { position: id ?? 'none (ephemeral)', time: ts, priority };
  if (Object.keys(headers).length > 0) facts.headers = JSON.stringify(headers);
  const rows = Object.entries(facts).map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)));
  return element('div', { className: 'body' }, element('pre', {}, JSON.stringify(data, null, 2)), element('dl', {}, ...rows));
}

function badge(kind) {
  return element('span', { className: 'badge', data: { kind } }, kind);
}
