// The console: hears what the connection tells, keeps the books, and has the views drawn once per frame.

import { byId, setText } from './dom.js';
import { Journal } from './journal.js';
import { Link } from './link.js';
import { MessageList } from './message-list.js';
import { publishElsewhere } from './outage.js';
import { readPublication, renderCommand } from './publish-form.js';
import { renderRooms, suggestPatterns } from './room-chips.js';
import { renderSession, renderState } from './session-card.js';
import { peek, Strip } from './strip.js';
import { renderStrip, watchStrip } from './strip-view.js';

/** How long a connection that was dropped on purpose stays away at least: long enough to watch. */
const AWAY_MS = 2_500;
const MEANWHILE = 5;
const TOKEN_KEY = 'roomcast.token';

const socketUrl = new URL('../ws', location.href);
socketUrl.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
socketUrl.hash = '';

const journal = new Journal();
const strip = new Strip();
/** A room and an event that are known to reach this page: what is published meanwhile goes there. */
let reached = null;
const counts = { received: 0, replayed: 0, published: 0, duplicates: 0, reconnects: 0, gaps: 0 };
const list = new MessageList(journal);
const link = new Link(socketUrl.href, hear);
const connection = link.connection;

/** One entry per kind of news of connection.js that asks for more than a new drawing. */
const HEAR = {
  connected({ again, since, awayMs, position }) {
    strip.passed(position);
    sessionStorage.setItem(TOKEN_KEY, connection.token);
    if (!again) return introduce(connection.session);
    counts.reconnects += 1;
    note('note', `Connected again after ${(awayMs / 1_000).toFixed(1)} s; asked for what came after ${place(since)}.`);
  },
  lost({ why, wasConnected, unanswered, waitMs }) {
    if (wasConnected) strip.cut();
    const fate = unanswered > 0 ? ` ${unanswered} publications were not answered: whether they were logged is not known.` : '';
    const what = wasConnected ? 'Connection lost' : 'No connection';
    note(unanswered > 0 ? 'fault' : 'note', `${what} (${why}); attempt ${connection.failures} in ${(waitMs / 1_000).toFixed(1)} s.${fate}`);
  },
  refused({ code, message }) {
    note('fault', `Refused: ${code}: ${message}`);
  },
  renewed() {
    sessionStorage.setItem(TOKEN_KEY, connection.token);
    note('note', 'The token was renewed on the open connection.');
  },
  expiring({ expiresAt }) {
    note('fault', `The token expires at ${new Date(expiresAt * 1_000).toLocaleTimeString()}: put a fresh one into the field and press Renew.`);
  },
  publication({ publication }) {
    counts.received += 1;
    counts.replayed += publication.replayed ? 1 : 0;
    reached = { room: publication.room, event: publication.event };
    strip.received(publication.id, publication.replayed);
    journal.write('publication', { publication });
  },
  published() {
    counts.published += 1;
    setText(byId('publish-alert'), '');
  },
  duplicate() {
    counts.duplicates += 1;
  },
  position({ position }) {
    strip.passed(position);
  },
  gap({ gap }) {
    counts.gaps += 1;
    strip.gap(gap);
    note('gap', gapText(gap));
  },
  fault({ command, code, message }) {
    const alert = { subscribe: 'rooms-alert', unsubscribe: 'rooms-alert', publish: 'publish-alert', authenticate: 'session-alert' }[command];
    if (alert) setText(byId(alert), `${code}: ${message}`);
    else note('fault', `${code}: ${message}`);
  },
};

function hear(news) {
  HEAR[news.what]?.(news);
  draw();
}

function note(kind, text) {
  journal.write(kind, { text, at: Date.now() });
}

/** A position for people: its number when it is one. */
function place(position) {
  const at = peek(position);
  return at ? `#${at.seq}` : 'an unknown place';
}

/** An admitted loss for people. Numbers of different logs do not compare, so then only both ends are named. */
function gapText({ from, to, reason }) {
  const same = peek(from)?.epoch === peek(to)?.epoch;
  const range = same ? `what came after ${place(from)}, up to ${place(to)},` : `what came after ${place(from)} in the log before`;
  return `Gap (${reason}): ${range} may be missing.${same ? '' : ` This log goes on after ${place(to)}.`}`;
}

/** Fills the forms with rooms of the org, where the newcomer has not written anything yet. */
function introduce({ organization_id: org }) {
  suggestPatterns(org);
  byId('pattern').value ||= `kpi:${org}`;
  byId('publish-room').value ||= `kpi:${org}:sales`;
}

let drawing = false;

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render();
  });
}

function render() {
  const connected = connection.phase === 'connected';
  renderState(connection, performance.now());
  renderSession(connection);
  renderRooms(connection.rooms, connected, (room) => link.run('unsubscribe', [room]));
  renderStrip(strip, connection, counts.gaps);
  renderCommand((connection.lastId ?? 0) + 1);
  list.render();
  for (const id of ['subscribe', 'publish', 'drop']) byId(id).disabled = !connected;
  for (const [name, count] of Object.entries(counts)) setText(byId(`count-${name}`), String(count));
  byId('step-connect').className = connection.session ? 'done' : '';
  byId('step-subscribe').className = connection.rooms.size > 0 ? 'done' : '';
  byId('step-publish').className = counts.published > 0 ? 'done' : '';
  if (connection.phase === 'waiting') draw();
}

function on(id, type, act) {
  byId(id).addEventListener(type, (event) => {
    if (type === 'submit') event.preventDefault();
    act(event);
    draw();
  });
}

on('token-form', 'submit', () => {
  setText(byId('session-alert'), '');
  link.run('connect', byId('token').value.trim());
});
on('sign-out', 'click', () => {
  sessionStorage.removeItem(TOKEN_KEY);
  byId('token').value = '';
  strip.reset();
  reached = null;
  link.run('signOut');
});
on('retry', 'click', () => link.run('retry'));
on('subscribe-form', 'submit', () => {
  setText(byId('rooms-alert'), '');
  link.run('subscribe', [byId('pattern').value.trim()]);
});
on('publish-form', 'input', () => {});
on('publish-form', 'submit', () => {
  try {
    link.run('publish', readPublication());
  } catch (error) {
    setText(byId('publish-alert'), `The data is no JSON: ${error.message}`);
  }
});
on('drop', 'click', () => {
  link.run('drop', AWAY_MS);
  if (byId('meanwhile').checked) publishMeanwhile();
});
on('pause', 'click', () => list.setPaused(!list.paused));
on('clear', 'click', () => list.clear());
on('filter', 'input', () => list.setFilter(byId('filter').value));
addEventListener('online', () => link.run('retry'));

function publishMeanwhile() {
  const where = reached ?? { room: byId('publish-room').value.trim(), event: byId('publish-event').value.trim() };
  const publications = Array.from({ length: MEANWHILE }, (_, index) => ({ ...where, data: { meanwhile: index + 1, of: MEANWHILE } }));
  publishElsewhere(socketUrl.href, connection.token, publications, (news) => {
    if (news.what === 'published' || news.what === 'fault') hear(news);
  });
}

/** The token of the address, which is taken out of the address bar and the history, or the one of this tab before a reload. */
function givenToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token !== null) history.replaceState(null, '', location.pathname + location.search);
  return token ?? sessionStorage.getItem(TOKEN_KEY);
}

watchStrip(draw);
const token = givenToken();
if (token) {
  byId('token').value = token;
  link.run('connect', token);
}
draw();
