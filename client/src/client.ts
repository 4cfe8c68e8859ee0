// Puts the parts together: what the server tells goes to where it belongs, and what the application wants is sent when it can be.

import { createConnection } from './connection.js';
import { createDelivery } from './delivery.js';
import type { Environment, Sign } from './environment.js';
import { RoomcastError } from './fault.js';
import { createIdentity } from './identity.js';
import { createListeners, enter, safely } from './listeners.js';
import { createMeter, quality } from './meter.js';
import { createOutbox } from './outbox.js';
import type { Ask } from './machine.js';
import { isObject, isPublication, toFault } from './protocol.js';
import type { AuthenticatedData, GapPush, PublicationPush, ServerMessage, SubscribedData, UnsubscribedPush } from './protocol.js';
import { createPublishing } from './publishing.js';
import { createRooms } from './rooms.js';
import type { Room } from './rooms.js';
import { createSubscribing } from './subscribing.js';
import type { Use } from './subscribing.js';
import { webSocket } from './transport/web-socket.js';
import type { Client, ClientOptions, ConnectionState, Gap, Handler, Health, Position, Publication, Session } from './types.js';

/** As `createClient`, in a world of the caller's making. */
export function createClientIn(env: Environment, options: ClientOptions): Client {
  const {
    url,
    token,
    autoConnect = true,
    transports = [webSocket()],
    backoff: { baseMs = 1_000, capMs = 30_000, attemptsMax = 20 } = {},
    heartbeatIntervalMs = 30_000,
    heartbeatTimeoutMs = 10_000,
    connectTimeoutMs = 10_000,
    commandTimeoutMs = 10_000,
    outboxMax = 1_000,
    outboxBytesMax = 2 ** 20,
    publishWindow = 1,
    seenMax = 16_384,
    autoAck = true,
  } = options;
  const usable = transports.filter((transport) => transport.supported());
  if (!usable.length) throw new RoomcastError('UNSUPPORTED', 'no transport works here; in Node before 22 pass transports: [webSocket({ WebSocket })]');

  let state: ConnectionState = 'disconnected';
  let fault: RoomcastError | null = null;
  let session: Session | null = null;
  let position: Position | null = null;
  let ask: Ask = 'rooms';
  let resumed: Room<Use>[] = [];
  let generation = 0;
  let flushing = false;
  let acks: Position[] = [];
  let disarm = () => {};
  let unwatch = () => {};

  const pushListeners = new Map<string, Set<(data: never) => void>>();
  const listeners = createListeners(env);
  const meter = createMeter();
  const rooms = createRooms<Use>();
  const outbox = createOutbox({ itemsMax: outboxMax, bytesMax: outboxBytesMax, window: publishWindow });
  const delivery = createDelivery({ env, rooms, listeners, meter, seenMax });
  const shared = { env, rooms, outbox, listeners, connection: () => connection, changed };
  const subscribing = createSubscribing({ ...shared, moved });
  const publishing = createPublishing({ ...shared, timeoutMs: commandTimeoutMs, published: () => void meter.counts.published++ });
  const identity = createIdentity({ ...shared, options, position: () => position });
  const connection = createConnection(
    {
      url,
      token,
      transports: usable,
      settings: {
        baseMs,
        capMs,
        attemptsMax,
        heartbeatIntervalMs,
        heartbeatTimeoutMs,
        connectTimeoutMs,
        transports: usable.length,
        renewable: typeof token !== 'string',
      },
    },
    env,
    {
      entering(asks, fresh) {
        ask = asks;
        const kept = identity.kept(fresh);
        position ??= kept.position;
        resumed = rooms.resume(position, ask === 'rooms', kept.rooms);
        return ask === 'nothing' ? {} : resumption();
      },
      entered,
      live() {
        flush();
        listeners.emit('session', session!);
      },
      message,
      heard: (length) => void (meter.counts.receivedBytes += length),
      sent(length) {
        meter.counts.sent++;
        meter.counts.sentBytes += length;
      },
      pong(latencyMs, data) {
        meter.pong(latencyMs);
        moved((data as { position?: Position | null }).position ?? null);
        listeners.emit('health', health());
      },
      lost(why) {
        session = null;
        acks = [];
        meter.lost();
        rooms.lost();
        publishing.lost(why);
      },
      state(next, why) {
        const previous = state;
        [state, fault] = [next, why];
        if (next === 'connected' && meter.counts.connects++) meter.counts.reconnects++;
        listeners.emit('state', next, previous);
        if (next === 'error') listeners.emit('error', why!);
        listeners.emit('health', health());
      },
      report: (why) => listeners.emit('error', why),
    },
  );

  function resumption() {
    return { rooms: resumed.length ? resumed.map((room) => room.written) : undefined, since: position ?? undefined };
  }

  function entered(data: AuthenticatedData, renewal: boolean): boolean {
    const { session_id: id, user_id: userId, organization_id: organizationId, expires_at: expiresAt, features = [] } = data;
    if (!identity.entered(userId, organizationId)) {
      position = null;
      delivery.forget();
      return false;
    }
    session = { id, userId, organizationId, expiresAt, features };
    if (renewal) return true;
    subscribing.confirm(resumed, data.rooms);
    // What was asked for came to nothing, so everything since then is lost to this client.
    if (ask === 'nothing' && position && data.position) gap({ from: position, to: data.position, reason: 'log_lost' });
    moved(data.position);
    return true;
  }

  function message(received: ServerMessage) {
    if (isPublication(received)) return publication(received);
    const { event, id, data } = received;
    if (id !== undefined || !isObject(data)) return;
    for (const listener of [...(pushListeners.get(event) ?? [])]) safely(env, () => listener(data as never));
    if (event === 'position') moved((data as unknown as SubscribedData).position);
    else if (event === 'gap') gap(data as unknown as GapPush);
    else if (event === 'token:expiring') connection.input('expiring');
    else if (event === 'unsubscribed') subscribing.end(rooms.end((data as unknown as UnsubscribedPush).rooms), 'ended', toFault(data));
    else if (event === 'error') listeners.emit('error', toFault(data));
  }

  function publication(push: PublicationPush) {
    const mine = generation;
    const publication = delivery.publication(push);
    if (autoAck && push.requires_ack) ack(publication);
    // Only now, because the place is one behind what was handled; and not if a handler has had everything forgotten.
    if (!push.overtook && mine === generation) moved(push.id);
  }

  function gap(told: Gap) {
    meter.counts.gaps++;
    moved(told.to);
    subscribing.gap(told);
  }

  function moved(to: Position | null | undefined) {
    if (!to) return;
    position = to;
    identity.changed();
  }

  function ack({ id }: Publication) {
    if (!id || !session?.features.includes('ack')) return;
    acks.push(id);
    changed();
  }

  /** Everything that is wanted at one go is sent at one go. */
  function changed() {
    if (flushing) return;
    flushing = true;
    env.soon(flush);
  }

  function flush() {
    flushing = false;
    tellOutbox();
    disarm();
    if (connection.machine.phase !== 'live') return;
    if (acks.length) connection.post('ack', { ids: acks.splice(0) });
    subscribing.flush();
    publishing.flush();
    const dueAt = Math.min(rooms.dueAt(), outbox.dueAt());
    if (dueAt < Infinity) disarm = env.after(Math.max(0, dueAt - env.now()), flush);
  }

  function tellOutbox() {
    if (meter.counts.queued === outbox.length) return;
    meter.counts.queued = outbox.length;
    identity.changed();
    listeners.emit('outbox', outbox.length);
  }

  function onSign(sign: Sign) {
    if (sign === 'leave') identity.write();
    else connection.input(sign);
  }

  function health(): Health {
    const { phase, failures: attempt, retryAt, transport, liveSince } = connection.machine;
    const { latencyMs, latencyAverageMs, counts } = meter;
    return {
      state,
      quality: quality(state === 'connected', latencyAverageMs),
      latencyMs,
      latencyAverageMs,
      attempt,
      retryInMs: phase === 'waiting' ? Math.max(0, retryAt - env.now()) : null,
      transport: phase === 'live' ? usable[transport]!.name : null,
      statistics: { ...counts, connectedMs: phase === 'live' ? env.now() - liveSince : null },
    };
  }

  function connect() {
    unwatch();
    unwatch = env.watch(onSign);
    connection.input('connect');
  }

  function disconnect({ forget = false } = {}) {
    unwatch();
    connection.input('disconnect');
    identity.write();
    if (!forget) return;
    generation++;
    position = null;
    const left = new RoomcastError('DISCONNECTED', 'the client was told to forget everything');
    for (const { uses } of rooms.clear()) {
      for (const use of uses) {
        use.over = 'ended';
        use.failed(left);
      }
    }
    for (const item of outbox.clear()) item.failed(left);
    delivery.forget();
    identity.forget();
    tellOutbox();
  }

  if (autoConnect) connect();

  return {
    get state() {
      return state;
    },
    get session() {
      return session;
    },
    get fault() {
      return fault;
    },
    get position() {
      return position;
    },
    get health() {
      return health();
    },
    connect,
    disconnect,
    retryNow: () => connection.input('retry'),
    subscribe: (room, handler, subscribeOptions = {}) => subscribing.subscribe(room, handler as Handler, subscribeOptions),
    publish: (request) => publishing.publish(request),
    onEvent: (pattern, handler) => delivery.onEvent(pattern, handler as Handler),
    on: (name, listener) => listeners.on(name, listener),
    ack,
    request: (command, data) =>
      new Promise((done, failed) => {
        if (connection.machine.phase !== 'live') return failed(new RoomcastError('DISCONNECTED', `${command} needs a connection`));
        connection.call(command, data, commandTimeoutMs, (why, answer) => (why ? failed(why) : done(answer as never)));
      }),
    onPush(event, listener) {
      if (!pushListeners.has(event)) pushListeners.set(event, new Set());
      return enter(pushListeners.get(event)!, listener as (data: never) => void);
    },
  };
}
