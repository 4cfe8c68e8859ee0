// The console: hears what its client tells, keeps the books, and has the views drawn once per frame.

import { byId, setText } from './dom.js';
import { Journal } from './journal.js';
import { MessageList } from './message-list.js';
import { publishElsewhere } from './outage.js';
import { PageClient } from './page-client.js';
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
const counts = { received: 0, replayed: 0, published: 0, reconnects: 0, gaps: 0 };
const list = new MessageList(journal);
const client = new PageClient(socketUrl.href, hear);

/** One entry per kind of news of page-client.js that asks for more than a new drawing. */
const HEAR = {
  connected({ position, back }) {
    strip.passed(position);
    sessionStorage.setItem(TOKEN_KEY, client.token);
    if (!back) return introduce(client.session);
    counts.reconnects += 1;
    note('note', `Connected again after ${(back.awayMs / 1_000).toFixed(1)} s; asked for what came after ${place(back.since)}.`);
  },
  lost({ why, wasConnected, attempt, waitMs }) {
    if (wasConnected) strip.cut();
    note('note', `${wasConnected ? 'Connection lost' : 'No connection'} (${why}); attempt ${attempt} in ${(waitMs / 1_000).toFixed(1)} s.`);
  },
  refused({ fault }) {
    note('fault', `Refused: ${fault.code}: ${fault.message}`);
  },
  renewed() {
    sessionStorage.setItem(TOKEN_KEY, client.token);
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
function introduce({ organizationId: org }) {
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
  const connected = client.phase === 'connected';
  const { health } = client;
  renderState(client.phase, health);
  renderSession(client);
  renderRooms(client.rooms.keys(), connected, (room) => client.unsubscribe(room));
  renderStrip(strip, client.position, counts.gaps);
  renderCommand();
  list.render();
  for (const id of ['subscribe', 'publish', 'drop']) byId(id).disabled = !connected;
  const shown = { ...counts, duplicates: health.statistics.duplicates };
  for (const [name, count] of Object.entries(shown)) setText(byId(`count-${name}`), String(count));
  byId('step-connect').className = client.session ? 'done' : '';
  byId('step-subscribe').className = client.rooms.size > 0 ? 'done' : '';
  byId('step-publish').className = counts.published > 0 ? 'done' : '';
  if (client.phase === 'waiting') draw();
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
  client.enter(byId('token').value.trim());
});
on('sign-out', 'click', () => {
  sessionStorage.removeItem(TOKEN_KEY);
  byId('token').value = '';
  strip.reset();
  reached = null;
  client.leave();
});
on('retry', 'click', () => client.retry());
on('subscribe-form', 'submit', () => {
  setText(byId('rooms-alert'), '');
  client.subscribe(byId('pattern').value.trim());
});
on('publish-form', 'input', () => {});
on('publish-form', 'submit', () => {
  try {
    client.publish(readPublication());
  } catch (error) {
    setText(byId('publish-alert'), `The data is no JSON: ${error.message}`);
  }
});
on('drop', 'click', () => {
  client.drop(AWAY_MS);
  if (byId('meanwhile').checked) publishMeanwhile();
});
on('pause', 'click', () => list.setPaused(!list.paused));
on('clear', 'click', () => list.clear());
on('filter', 'input', () => list.setFilter(byId('filter').value));

function publishMeanwhile() {
  const where = reached ?? { room: byId('publish-room').value.trim(), event: byId('publish-event').value.trim() };
  const publications = Array.from({ length: MEANWHILE }, (_, index) => ({ ...where, data: { meanwhile: index + 1, of: MEANWHILE } }));
  const published = () => hear({ what: 'published' });
  const failed = ({ code, message }) => hear({ what: 'fault', command: 'publish', code, message });
  publishElsewhere(socketUrl.href, client.token, publications, published, failed);
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
  client.enter(token);
}
draw();
