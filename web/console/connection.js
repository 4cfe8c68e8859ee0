// What a roomcast client does next: messages and times in, actions out.
//
// Pure: no socket, no clock, no page; link.js runs it, and `now` is always milliseconds of a clock that never steps back. Every
// input returns a list of actions: `open` and `close` the socket, `send` a text, or `tell` the page what happened.

import { backoffMs } from './backoff.js';

/** `refused` means that the server asked not to come back. */
export const PHASES = ['idle', 'connecting', 'authenticating', 'connected', 'waiting', 'refused'];

const PING_INTERVAL_MS = 5_000;
/** A connection that leaves a ping unanswered for this long is dead. */
const PONG_TIMEOUT_MS = 10_000;
/** How long the socket may take to open, and the server to answer `authenticate`. */
const OPEN_TIMEOUT_MS = 10_000;
/** Ids remembered to drop what comes twice; far more than any overlap of two connections. */
const SEEN_MAX = 4_096;
const PENDING_MAX = 256;
/** Close codes in this range say that reconnecting is of no use. */
const FATAL_CLOSE = { from: 4_500, to: 4_999 };

export class Connection {
  /** @param {() => number} random from 0 to 1 */
  constructor(random = Math.random) {
    this.random = random;
    this.forget();
  }

  /** Connects, or renews the token when connected already. */
  connect(token, now) {
    this.token = token;
    if (this.phase === 'connected') return [this.#command('authenticate', { token }, now)];
    const close = this.phase === 'connecting' || this.phase === 'authenticating' ? [{ do: 'close' }] : [];
    this.failures = 0;
    return [...close, ...this.#open(now)];
  }

  /** Leaves and forgets who was here, what was subscribed to and how far it got. */
  signOut() {
    this.forget();
    return [{ do: 'close' }, tell('signed-out')];
  }

  forget() {
    this.phase = 'idle';
    this.token = null;
    this.session = null;
    this.position = null;
    this.rooms = new Set();
    this.seen = new Set();
    this.fault = null;
    this.failures = 0;
    this.everConnected = false;
    this.#disconnected();
  }

  /** Cuts the connection on purpose and stays away for `awayMs` at least. */
  drop(awayMs, now) {
    if (this.phase !== 'connected') return [];
    return [{ do: 'close' }, ...this.#lost({ awayMs, why: 'dropped by you' }, now)];
  }

  /** Stops waiting. */
  retry(now) {
    return this.phase === 'waiting' ? this.#open(now) : [];
  }

  subscribe(rooms, now) {
    return this.#when('connected', () => [this.#command('subscribe', { rooms }, now)]);
  }

  unsubscribe(rooms, now) {
    return this.#when('connected', () => [this.#command('unsubscribe', { rooms }, now)]);
  }

  publish(publication, now) {
    return this.#when('connected', () => [this.#command('publish', publication, now)]);
  }

  /** The socket is open. */
  opened(now) {
    if (this.phase !== 'connecting') return [];
    this.phase = 'authenticating';
    const data = { token: this.token, rooms: [...this.rooms] };
    // One command resumes everything: all rooms, and all that came after the position.
    if (this.position !== null) data.since = this.position;
    return [this.#command('authenticate', data, now), tell('phase')];
  }

  /** The socket is gone, or never came to be. */
  closed(code, reason, now) {
    const detail = parsed(reason) ?? {};
    if (code >= FATAL_CLOSE.from && code <= FATAL_CLOSE.to) return this.#refused(code, detail);
    const broken = this.phase === 'connecting' ? 'the server cannot be reached' : 'it broke off';
    const why = detail.code ?? (code === 1006 ? broken : `closed with ${code}`);
    return this.#lost({ awayMs: detail.retry_after_ms ?? 0, why }, now);
  }

  /** When `tick` wants to be called, or null. */
  wakeAt() {
    if (this.phase === 'waiting') return this.retryAt;
    if (this.phase === 'connecting' || this.phase === 'authenticating') return this.openUntil;
    if (this.phase !== 'connected') return null;
    return this.ping ? this.ping.at + PONG_TIMEOUT_MS : this.pingAt;
  }

  tick(now) {
    if (this.wakeAt() === null || now < this.wakeAt()) return [];
    if (this.phase === 'waiting') return this.#open(now);
    if (this.phase !== 'connected') return [{ do: 'close' }, ...this.#lost({ awayMs: 0, why: 'no answer' }, now)];
    if (this.ping) return [{ do: 'close' }, ...this.#lost({ awayMs: 0, why: 'the server fell silent' }, now)];
    return [this.#pingNow(now)];
  }

  /** One text message from the server. */
  received(text, now) {
    const message = parsed(text);
    if (message === null) return [tell('fault', { code: 'INVALID_MESSAGE', message: 'the server sent something that is no JSON object' })];
    if (typeof message.room === 'string') return this.#publication(message);
    const command = this.#answered(message.id);
    const data = message.data ?? {};
    switch (message.event) {
      case 'authenticated': return this.#authenticated(data, command, now);
      case 'subscribed': return this.#subscribed(data);
      case 'unsubscribed': return this.#unsubscribed(data);
      case 'published': return [tell('published', { id: data.id, duplicate: data.duplicate, publication: command?.data })];
      case 'client:pong': return this.#pong(message.id, now);
      case 'position': return this.#moved(data.position);
      case 'gap': return this.#gap(data);
      case 'token:expiring': return [tell('expiring', { expiresAt: data.expires_at })];
      case 'error': return this.#fault(data, command);
      default: return [];
    }
  }

  #open(now) {
    this.phase = 'connecting';
    this.fault = null;
    this.openUntil = now + OPEN_TIMEOUT_MS;
    return [{ do: 'open' }, tell('phase')];
  }

  #lost({ awayMs, why }, now) {
    if (this.phase === 'idle' || this.phase === 'refused') return [];
    const wasConnected = this.phase === 'connected';
    const unanswered = [...this.pending.values()].filter((command) => command.event === 'publish').length;
    this.phase = 'waiting';
    if (wasConnected) this.lostAt = now;
    this.retryAt = now + backoffMs(this.failures, awayMs, this.random());
    this.failures += 1;
    this.#disconnected();
    return [tell('lost', { why, wasConnected, unanswered, waitMs: this.retryAt - now })];
  }

  #refused(code, detail) {
    this.phase = 'refused';
    this.fault ??= { code: detail.code ?? `closed with ${code}`, message: 'the server asked not to come back' };
    this.#disconnected();
    return [tell('refused', this.fault)];
  }

  #disconnected() {
    this.pending = new Map();
    this.ping = null;
    this.latencyMs = null;
  }

  #authenticated(data, command, now) {
    const renewed = this.phase === 'connected';
    const since = command?.data.since ?? null;
    this.phase = 'connected';
    this.session = data;
    this.failures = 0;
    this.fault = null;
    for (const room of data.rooms ?? []) this.rooms.add(room);
    this.#advance(data.position);
    if (renewed) return [tell('renewed')];
    const awayMs = this.everConnected ? now - this.lostAt : 0;
    const news = tell('connected', { again: this.everConnected, since, awayMs, position: this.position });
    this.everConnected = true;
    return [news, this.#pingNow(now)];
  }

  #subscribed(data) {
    for (const room of data.rooms ?? []) this.rooms.add(room);
    this.#advance(data.position);
    return [tell('rooms'), ...(data.position ? [tell('position', { position: data.position })] : [])];
  }

  #unsubscribed(data) {
    for (const room of data.rooms ?? []) this.rooms.delete(room);
    // Only the server's own doing carries a code; the reply to a command does not.
    return data.code ? [tell('rooms'), tell('fault', { ...data, command: 'subscribe' })] : [tell('rooms')];
  }

  #publication(publication) {
    const id = publication.id;
    if (id !== undefined) {
      if (this.seen.has(id)) return [tell('duplicate', { id })];
      this.seen.add(id);
      // A Set keeps the order of insertion, so the first value is the oldest.
      if (this.seen.size > SEEN_MAX) this.seen.delete(this.seen.values().next().value);
      // An urgent publication may overtake others, so it says nothing about what came before it.
      if (publication.priority !== 'urgent') this.#advance(id);
    }
    return [tell('publication', { publication })];
  }

  #moved(position) {
    this.#advance(position);
    return [tell('position', { position })];
  }

  #gap(gap) {
    this.#advance(gap.to);
    return [tell('gap', { gap })];
  }

  #advance(position) {
    if (typeof position === 'string') this.position = position;
  }

  #fault(data, command) {
    if (command?.event === 'authenticate') this.fault = data;
    return [tell('fault', { ...data, command: command?.event })];
  }

  #pingNow(now) {
    const action = this.#command('client:ping', undefined, now);
    this.ping = { id: this.lastId, at: now };
    return action;
  }

  #pong(id, now) {
    if (this.ping === null || this.ping.id !== id) return [];
    this.latencyMs = now - this.ping.at;
    this.pingAt = this.ping.at + PING_INTERVAL_MS;
    this.ping = null;
    return [tell('latency')];
  }

  #command(event, data, now) {
    this.lastId = (this.lastId ?? 0) + 1;
    this.pending.set(this.lastId, { event, data, at: now });
    if (this.pending.size > PENDING_MAX) this.pending.delete(this.pending.keys().next().value);
    return { do: 'send', text: JSON.stringify({ event, id: this.lastId, data }) };
  }

  #answered(id) {
    const command = this.pending.get(id);
    this.pending.delete(id);
    return command;
  }

  #when(phase, then) {
    return this.phase === phase ? then() : [];
  }
}

function tell(what, detail = {}) {
  return { do: 'tell', what, ...detail };
}

/** The JSON object in `text`, or null. */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
