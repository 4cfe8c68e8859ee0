// Puts the parts together: what the server tells goes to where it belongs, and what the application wants is sent when it can be.

import { createConnection } from './connection.js';
import type { Counts } from './connection.js';
import { createDelivery } from './delivery.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { createListeners, safely } from './listeners.js';
import type { Ask } from './machine.js';
import { average, quality } from './meter.js';
import { isObject, toFault } from './protocol.js';
import type { Message, PublicationPush } from './protocol.js';
import type { AuthenticatedData, Push } from './protocol.generated.js';
import { createPublishing, toItem } from './publishing.js';
import { createRooms } from './rooms.js';
import type { Room } from './rooms.js';
import { createSubscribing } from './subscribing.js';
import type { Use } from './subscribing.js';
import { webSocket } from './transport/web-socket.js';
import type { Client, ClientOptions, Gap, Health, KeptState, Position, Publication, Session } from './types.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** As `createClient`, in a world of the caller's making. */
export function createClientIn(env: Environment, options: ClientOptions): Client {
  const { transport = webSocket(), keep, autoConnect = true, autoAck = true } = options;

  /** Whose position, rooms and outbox these are; they are never used for anybody else. */
  let who: string | undefined;
  let keptRooms: readonly string[] = [];
  let resumed: Room<Use>[] = [];
  let latencyMs: number | null = null;
  let latencyAverageMs: number | null = null;
  let acks: Position[] = [];
  let flushing = false;
  let disarm = () => {};
  let unwatch = () => {};

  const counts: Counts = {
    connects: 0,
    reconnects: 0,
    received: 0,
    receivedBytes: 0,
    replayed: 0,
    duplicates: 0,
    gaps: 0,
    sent: 0,
    sentBytes: 0,
    published: 0,
    queued: 0,
  };
  const listeners = createListeners(env);
  const report = (fault: RoomcastError) => listeners.emit('error', fault);
  const rooms = createRooms<Use>();
  const connection = createConnection({ ...options, transport }, env, counts, {
    token(token) {
      const kept = keep?.recall(token);
      if (kept && !who) ({ who, rooms: keptRooms, position: self.position } = kept);
    },
    entering(ask) {
      if (ask === 'renewal') return {};
      resumed = rooms.resume(self.position, ask, keptRooms);
      if (ask === 'nothing') return {};
      return { rooms: resumed[0] && resumed.map((room) => room.asked), since: self.position ?? undefined };
    },
    entered,
    live() {
      flush();
      listeners.emit('session', self.session!);
    },
    message,
    pong(ms) {
      latencyMs = ms;
      latencyAverageMs = average(latencyAverageMs, ms);
      listeners.emit('health', self.health);
    },
    lost(closeCode) {
      self.session = latencyMs = latencyAverageMs = null;
      acks = [];
      rooms.lost();
      publishing.lost(closeCode);
    },
    state({ state, fault }) {
      const previous = self.state;
      self.state = state;
      self.fault = fault;
      if (state === 'connected' && counts.connects++) counts.reconnects++;
      listeners.emit('state', state, previous);
      if (state === 'error') report(fault!);
      listeners.emit('health', self.health);
    },
    report: ({ fault }) => report(fault),
  });

  const delivery = createDelivery(env, options, rooms, listeners, counts);
  const subscribing = createSubscribing(env, rooms, connection, report, changed, arrived);
  const publishing = createPublishing(env, connection, counts, options, request, changed);

  function entered(data: AuthenticatedData, ask: Ask): boolean {
    const { session_id: id, user_id: userId, organization_id: organizationId, expires_at: expiresAt, features = [], position } = data;
    const now = JSON.stringify([organizationId, userId]);
    const same = !who || who === now;
    who = now;
    if (!same) {
      forget();
      publishing.fail(new RoomcastError('AUTH_FAILED', 'another user has come'));
      return false;
    }
    self.session = { id, userId, organizationId, expiresAt, features } satisfies Session;
    if (ask === 'renewal') return true;
    keptRooms = [];
    // What the page before this one left goes first.
    publishing.items.unshift(...(keep?.claim(who) ?? []).map(toItem));
    // What was asked for came to nothing, so everything since then is lost to this client.
    if (ask === 'nothing' && self.position && position) gap({ from: self.position, to: position, reason: 'log_lost' });
    arrived(position);
    subscribing.confirm(resumed, true);
    return true;
  }

  function message(received: Message) {
    if ('room' in received) return publication(received as PublicationPush);
    if ('id' in received || !isObject(received.data)) return;
    listeners.emit(`push:${received.event}`, received.data as never);
    const { event, data } = received as Push;
    if (event === 'position') arrived(data.position);
    else if (event === 'gap') gap(data);
    else if (event === 'token:expiring') connection.input('expiring');
    else if (event === 'unsubscribed') {
      const ended = rooms.all().filter((room) => data.rooms.includes(room.pattern));
      subscribing.end(ended, 'ended', toFault(data));
    } else if ((event as string) === 'error') report(toFault(data));
  }

  function publication(push: PublicationPush) {
    // Before the session stands it cannot be told for whom it is; it comes again after whatever went wrong.
    if (!self.session) return;
    const fresh = delivery.publication(push);
    if (autoAck && push.requires_ack) ack(push);
    // Only now, because the place is one behind what was handled; and not if a handler has left. What comes again says nothing of
    // how far the client has got.
    if (fresh && !push.overtook && !push.redelivered && self.session) arrived(push.id, push.replayed);
  }

  function gap(told: Gap) {
    counts.gaps++;
    arrived(told.to, true);
    for (const { uses } of rooms.all()) for (const use of [...uses]) safely(env, () => use.options.onGap?.(told));
    listeners.emit('gap', told);
  }

  function arrived(position: Position | null | undefined, past = false) {
    if (!position || !rooms.arrived(position, past)) return;
    self.position = position;
    keepSoon();
  }

  const keepSoon = () => keep?.save(state, env.after);

  /** What may outlive the page, once it is known whose it is. */
  function state(): KeptState | null {
    const held = rooms.all().filter((room) => room.held).map((room) => room.name);
    return who ? { who, position: self.position, rooms: held, outbox: publishing.items.map((item) => item.text) } : null;
  }

  function forget() {
    self.position = null;
    keptRooms = [];
    delivery.forget();
  }

  function ack({ id }: Pick<Publication, 'id'>) {
    if (!id || !self.session?.features.includes('ack')) return;
    acks.push(id);
    changed();
  }

  /** Everything that is wanted at one go is sent at one go. */
  function changed() {
    if (flushing) return;
    flushing = true;
    queueMicrotask(flush);
  }

  function flush() {
    flushing = false;
    disarm();
    if (counts.queued !== publishing.items.length) {
      counts.queued = publishing.items.length;
      keepSoon();
      listeners.emit('outbox', counts.queued);
    }
    rooms.tidy();
    if (!self.session) return;
    if (acks.length) connection.send(JSON.stringify({ event: 'ack', data: { ids: acks.splice(0) } }));
    subscribing.flush();
    publishing.flush();
    const dueAt = Math.min(rooms.dueAt(), publishing.dueAt());
    if (dueAt < Infinity) disarm = env.after(dueAt - env.now(), flush);
  }

  async function request<T>(command: string, data: object): Promise<T> {
    if (!self.session) throw new RoomcastError('DISCONNECTED', `${command} needs a connection`);
    return new Promise((done, failed) => connection.call(command, JSON.stringify(data), (fault, answer) => (fault ? failed(fault) : done(answer as T))));
  }

  const self: Mutable<Client> = {
    state: 'disconnected',
    session: null,
    fault: null,
    position: null,
    get health(): Health {
      const { phase, failures, liveSince } = connection.machine;
      const live = phase === 'live';
      return {
        state: self.state,
        quality: quality(live, latencyAverageMs),
        latencyMs,
        latencyAverageMs,
        attempt: live ? 0 : failures,
        retryInMs: phase === 'waiting' ? Math.max(0, connection.machine.dueAt() - env.now()) : null,
        transport: live ? transport.name : null,
        statistics: { ...counts, connectedMs: live ? env.now() - liveSince : null },
      };
    },
    connect() {
      if (!transport.supported()) throw new RoomcastError('UNSUPPORTED', `no ${transport.name} here`);
      unwatch();
      unwatch = env.watch((sign) => (sign === 'leave' ? keep?.save(state) : connection.input(sign)));
      connection.input('connect');
    },
    disconnect(leaving) {
      unwatch();
      connection.input('disconnect');
      keep?.save(state);
      if (!leaving?.forget) return;
      const fault = new RoomcastError('DISCONNECTED', 'forgotten');
      subscribing.end(rooms.all(), 'ended', fault, true);
      publishing.fail(fault);
      forget();
      who = undefined;
      keep?.forget();
      flush();
    },
    retryNow: () => connection.input('retry'),
    subscribe: subscribing.subscribe as Client['subscribe'],
    publish: publishing.publish,
    onEvent: delivery.onEvent as Client['onEvent'],
    on: listeners.on,
    ack,
    request,
    onPush: (event, listener) => listeners.on(`push:${event}`, listener),
  };
  if (autoConnect) self.connect();
  return self;
}
