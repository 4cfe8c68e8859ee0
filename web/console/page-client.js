// The roomcast client as this page uses it: what the client does not offer by itself (dropping the connection on purpose, a token
// that people renew by hand, subscriptions as a list) is added here, and all that happens is told in one way.

import { Droppable } from './away.js';
import { Credentials } from './credentials.js';
import { createClient, webSocket } from './roomcast.js';

/** Often enough for the latency to be alive. */
const PING_INTERVAL_MS = 5_000;
/** The states of the client as the page shows them. */
const PHASES = { disconnected: 'idle', connecting: 'connecting', connected: 'connected', reconnecting: 'waiting', error: 'refused' };

export class PageClient {
  /** Names of the rooms and patterns subscribed to, in canonical form, with their subscriptions. */
  rooms = new Map();
  /** The last session, also while it is away. */
  session = null;
  /** Why the server refuses, until the next try. */
  fault = null;
  #client;
  #carrier;
  #credentials = new Credentials();
  /** When the connection was last lost, and where in the log. */
  #lost = null;
  #onNews;

  /**
   * @param {string} url of the WebSocket
   * @param {(news: {what: string}) => void} onNews called for everything that happens
   */
  constructor(url, onNews, transport = webSocket()) {
    this.#onNews = onNews;
    this.#carrier = new Droppable(transport);
    this.#client = createClient({
      url,
      token: (why) => this.#credentials.give(why),
      autoConnect: false,
      transport: this.#carrier,
      backoff: { attemptsMax: Infinity },
      heartbeatIntervalMs: PING_INTERVAL_MS,
    });
    this.#listen();
  }

  get phase() {
    return PHASES[this.#client.state];
  }

  get token() {
    return this.#credentials.token;
  }

  get position() {
    return this.#client.position;
  }

  /** Latency, attempts, time until the next one, and statistics, as the client tells them. */
  get health() {
    return this.#client.health;
  }

  /** Connects, or renews the token when connected already. */
  enter(token) {
    if (this.phase === 'connected') return this.#renew(token);
    // An attempt that is under way or awaited would go on with the token of before.
    this.#client.disconnect();
    this.#credentials.put(token);
    this.fault = null;
    this.#client.connect();
  }

  /** Leaves and forgets who was here, what was subscribed to and how far it got. */
  leave() {
    this.#client.disconnect({ forget: true });
    this.#credentials.put(null);
    this.rooms.clear();
    this.session = this.fault = this.#lost = null;
    this.#tell('signed-out');
  }

  /** Cuts the connection on purpose and stays away for `awayMs` at least. */
  drop(awayMs) {
    if (this.phase === 'connected') this.#carrier.drop(awayMs, 'dropped by you');
  }

  /** Stops waiting. */
  retry() {
    this.#client.retryNow();
  }

  subscribe(pattern) {
    // The page shows every publication, whichever subscription it came by.
    const subscription = this.#client.subscribe(pattern, () => {}, { onError: (fault) => this.#ended(subscription, fault) });
    subscription.ready.then(() => this.#begun(subscription), () => {});
  }

  unsubscribe(room) {
    this.rooms.get(room)?.unsubscribe();
    this.rooms.delete(room);
    this.#tell('rooms');
  }

  publish(publication) {
    this.#client.publish(publication).then(
      () => this.#tell('published'),
      (fault) => this.#faulted('publish', fault),
    );
  }

  #listen() {
    const client = this.#client;
    client.on('state', (state, previous) => this.#turned(state, previous));
    client.on('session', (session) => this.#entered(session));
    client.on('publication', (publication) => this.#tell('publication', { publication }));
    client.on('gap', (gap) => this.#tell('gap', { gap }));
    client.on('health', () => this.#tell('health'));
    // A fault that ends everything is told with the state.
    client.on('error', (fault) => fault.fatal || this.#faulted(undefined, fault));
    client.onPush('position', ({ position }) => this.#tell('position', { position }));
    client.onPush('token:expiring', ({ expires_at }) => this.#tell('expiring', { expiresAt: expires_at }));
  }

  #turned(state, previous) {
    if (state === 'reconnecting') return this.#away(previous === 'connected');
    if (state === 'error') this.fault = this.#client.fault;
    this.#tell(state === 'error' ? 'refused' : 'phase', { fault: this.fault });
  }

  #away(wasConnected) {
    if (wasConnected) this.#lost = { at: performance.now(), position: this.position };
    const { code, message } = this.#client.fault;
    const { attempt, retryInMs } = this.health;
    this.#tell('lost', { why: code === 'DISCONNECTED' ? message : code, wasConnected, attempt, waitMs: retryInMs });
  }

  #entered(session) {
    const { position } = this;
    const back = this.#lost && { since: this.#lost.position, awayMs: performance.now() - this.#lost.at };
    this.session = session;
    this.#tell('connected', { position, back });
  }

  async #renew(token) {
    try {
      const { expires_at: expiresAt } = await this.#client.request('authenticate', { token });
      this.#credentials.put(token);
      this.session = { ...this.session, expiresAt };
      this.fault = null;
      this.#tell('renewed');
    } catch (fault) {
      this.fault = fault;
      this.#faulted('authenticate', fault);
    }
  }

  #begun(subscription) {
    // The same room under another spelling is one subscription on the server, and one on the page.
    if (this.rooms.has(subscription.room)) return subscription.unsubscribe();
    this.rooms.set(subscription.room, subscription);
    this.#tell('rooms');
    this.#tell('position', { position: this.position });
  }

  #ended(subscription, fault) {
    for (const [room, kept] of this.rooms) if (kept === subscription) this.rooms.delete(room);
    this.#faulted('subscribe', fault);
  }

  #faulted(command, { code, message }) {
    this.#tell('fault', { command, code, message });
  }

  #tell(what, detail = {}) {
    this.#onNews({ what, ...detail });
  }
}
