// A world full of accidents, and a ledger of what should have come of it. The same seed is the same run; seeds that once failed are
// kept below, and `MODEL_SEEDS=from-to` runs others.

import { expect, test } from 'vitest';
import type { Client, Gap } from '../src/types.js';
import { createWorld, seeded } from './fake-server.js';
import type { Fate, World } from './fake-server.js';

/** Each of them found a defect once. */
const KEPT: number[] = [588, 683, 1030, 1031, 1055, 1064, 1479, 1802, 1924, 1974, 2005, 2208, 3477];
const [FROM = 1, TO = 150] = (process.env.MODEL_SEEDS ?? '').split('-').filter(Boolean).map(Number);
const STEPS = 120;
const ROOMS = ['kpi:acme:sales', 'kpi:acme:sales:support', 'chat:acme', 'alerts:acme:_:support', 'ai:acme:a', 'telemetry:acme:b'];
const PATTERNS = ['kpi:acme', 'kpi:acme:sales', 'chat:acme', '*:acme:*:support'];
/** The server sends nothing twice on a connection, so what another subscription has got is not replayed; these meet no other. */
const PATTERNS_SINCE = ['ai:acme', 'telemetry:acme:*'];

/** One use of a room, and what is known of it. */
interface Watch {
  name: string;
  reaches(index: number): boolean;
  /** Entries before this one came before the subscription. */
  from: number;
  got: number[];
  gaps: { before: number; after: number }[];
  unsubscribe(): void;
  ended: boolean;
}

class Ledger {
  readonly faults: string[] = [];
  readonly journal: string[] = [];
  readonly watches: Watch[] = [];
  readonly published: { data: string; outcome: string }[] = [];

  constructor(readonly world: World) {}

  get entries() {
    return this.world.server.log().all;
  }

  indexOf(id: string | undefined): number {
    return this.entries.findIndex((entry) => entry.id === id);
  }

  note(line: string): void {
    this.journal.push(`${this.world.clock.now} ${line}`);
  }

  check(): void {
    for (const watch of this.watches) this.checkWatch(watch);
    const logged = this.entries.map(({ push }) => String(push.data)).filter((data) => data.startsWith('own'));
    if (new Set(logged).size !== logged.length) this.faults.push('something was logged twice');
    const numbers = logged.map((data) => Number(data.slice(3)));
    if (numbers.some((number, at) => at > 0 && number < numbers[at - 1]!)) this.faults.push(`logged out of order: ${numbers}`);
    for (const { data, outcome } of this.published) {
      if (outcome !== 'logged' || !logged.includes(data)) this.faults.push(`${data} was ${outcome}`);
    }
  }

  private checkWatch({ name, from, got, gaps, reaches, ended }: Watch): void {
    const fault = (what: string) => this.faults.push(`${name}: ${what}`);
    got.forEach((index, at) => {
      if (at > 0 && index <= got[at - 1]!) fault(`${index} came after ${got[at - 1]}`);
      if (!reaches(index)) fault(`${index} is for others`);
    });
    if (ended) return;
    this.entries.forEach((_, index) => {
      const excused = gaps.some(({ before, after }) => index > before && index < after);
      if (index >= from && reaches(index) && !got.includes(index) && !excused) fault(`${index} of ${this.entries.length} never came`);
    });
  }
}

async function run(seed: number): Promise<Ledger> {
  const world = createWorld({ seed });
  const { clock, server } = world;
  const random = seeded(seed * 7_919 + 1);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const ledger = new Ledger(world);
  const client = world.client({
    token: () => (random() < 0.1 ? Promise.reject(new Error('no token now')) : server.token({ ttlMs: pick([20_000, 90_000, 3_600_000]) })),
    backoff: { attemptsMax: Infinity },
    publishWindow: 1,
  });
  client.on('state', (state) => ledger.note(`state ${state} ${client.fault?.code ?? ''}`));
  let calm = false;
  const chances = { cut: random() * 0.03, lose: random() * 0.01, refuse: random() * 0.1 };
  const frozen = new WeakSet<object>();
  server.fate = (direction, text, session) => {
    const fate = frozen.has(session) ? 'lose' : decide(text);
    // A stream has no holes: behind what is lost nothing comes any more. Only an answer can fail to be given.
    if (fate === 'lose' && !text.includes('"published"')) frozen.add(session);
    ledger.note(`${direction} ${fate} ${text.replace(/"token":"[^"]*"/, '').slice(0, 200)}`);
    return fate;
  };
  function decide(text: string): Fate {
    const chance = calm ? 1 : random();
    if (chance < chances.cut) return pick(['cut-before', 'cut-after'] as const);
    return chance < chances.cut + chances.lose && text.includes('"id":') ? 'lose' : 'pass';
  }
  server.refuse = ({ event }) =>
    !calm && event !== 'client:ping' && random() < chances.refuse ? { code: pick(['RATE_LIMIT_EXCEEDED', 'BROKER_UNAVAILABLE']), retry_after_ms: below(300) } : undefined;

  let number = 0;
  const steps: (() => void)[] = [
    () => server.publish({ room: pick(ROOMS), data: `backend${number++}` }),
    () => server.publish({ room: pick(ROOMS), data: `backend${number++}` }),
    () => publish(client, ledger, pick(ROOMS), number++),
    () => publish(client, ledger, pick(ROOMS), number++),
    () => watch(client, ledger, pick(PATTERNS)),
    () => watch(client, ledger, pick(PATTERNS_SINCE), pick([undefined, ...ledger.entries])?.id),
    () => pick([undefined, ...ledger.watches])?.unsubscribe(),
    () => server.cutAll(),
    () => server.closeAll(pick([4000, 4001, 4005, 1011]), { retry_after_ms: below(2_000) }),
    () => (server.door = pick(['open', 'open', 'open', 'refused', 'silent'])),
    () => (server.latencyMs = 1 + below(100)),
    () => (server.replayMs = pick([0, 0, 5, 50, 500])),
    () => world.sign(pick(['online', 'offline', 'wake', 'leave'])),
    () => client.retryNow(),
    () => (random() < 0.3 ? client.disconnect() : client.connect()),
    () => redeliver(ledger, pick([undefined, ...ledger.watches.flatMap(({ got }) => got)])),
    () => random() < 0.2 && server.log().trim(below(5)),
    () => random() < 0.1 && server.log().replace(pick(['fork', 'log_lost'])),
  ];
  for (let step = 0; step < STEPS; step++) {
    pick(steps)();
    if (random() < 0.7) await clock.advance(pick([0, 1, 1, 3, 20, 100, 2_000]));
  }
  calm = true;
  server.door = 'open';
  client.connect();
  await clock.advance(180_000);
  ledger.note(`end ${client.state} ${JSON.stringify(client.fault)}`);
  if (client.state !== 'connected') ledger.faults.push(`it ended ${client.state}`);
  if (world.reported.length) ledger.faults.push(`a handler threw: ${world.reported[0]}`);
  ledger.check();
  return ledger;
}

function publish(client: Client, ledger: Ledger, room: string, number: number): void {
  const entry = { data: `own${number}`, outcome: 'waiting' };
  ledger.published.push(entry);
  ledger.note(`publish ${entry.data}`);
  client.publish({ room, event: 'kpi:update', data: entry.data }).then(
    () => (entry.outcome = 'logged'),
    ({ code }) => (entry.outcome = code),
  );
}

/** As for want of an acknowledgement. */
function redeliver({ world: { server }, entries }: Ledger, index: number | undefined): void {
  const entry = entries[index ?? -1];
  if (entry) for (const session of server.sessions) if (session.claims) server.out(session, entry.push);
}

function watch(client: Client, ledger: Ledger, room: string, since?: string): void {
  if (ledger.watches.some((other) => !other.ended && other.name.startsWith(room))) return;
  const { server } = ledger.world;
  const watch: Watch = {
    name: `${room} #${ledger.watches.length}${since ? ' since' : ''}`,
    reaches: () => false,
    from: Infinity,
    got: [],
    gaps: [],
    ended: false,
    unsubscribe() {
      subscription.unsubscribe();
      watch.ended = true;
      ledger.note(`unsubscribe ${watch.name}`);
    },
  };
  ledger.watches.push(watch);
  ledger.note(`subscribe ${watch.name} ${since ?? ''}`);
  const onGap = ({ to, reason }: Gap) => {
    watch.gaps.push({ before: watch.got.at(-1) ?? -1, after: ledger.entries.length });
    ledger.note(`gap ${watch.name} ${reason} to ${to}`);
  };
  const begin = ledger.indexOf(since) + 1;
  const subscription = client.subscribe(
    room,
    ({ id, data }) => {
      watch.got.push(ledger.indexOf(id));
      ledger.note(`got ${watch.name} ${data}`);
    },
    { since, onGap, onError: ({ code }) => ledger.faults.push(`${room} was refused: ${code}`) },
  );
  const test = matcher(subscription.room);
  watch.reaches = (index) => test(ledger.entries[index]!.push.room);
  if (since) watch.from = begin;
  else {
    const soonest = ledger.entries.length;
    const begun = () => (watch.from = Math.max(soonest, server.begun.get(subscription.room)!));
    subscription.ready.then(begun, () => {});
  }
}

/** Written anew, so that the client's own patterns are not their own judge. */
function matcher(pattern: string): (room: string) => boolean {
  const steps = pattern.split(':');
  const rest = steps.at(-1) === '**' || !steps.includes('*');
  const source = steps.filter((step) => step !== '**').map((step) => (step === '*' ? '[^:]+' : step)).join(':');
  const test = new RegExp(`^${source}${rest ? '(:.*)?' : ''}$`);
  return (room) => test.test(room);
}

const seeds = [...new Set([...KEPT, ...Array.from({ length: TO - FROM + 1 }, (_, at) => FROM + at)])];

test.each(seeds)('seed %i', async (seed) => {
  const ledger = await run(seed);
  expect(ledger.faults, ledger.faults.length ? ledger.journal.slice(-400).join('\n') : '').toEqual([]);
});

test('the same seed is the same run', async () => {
  const [first, second] = [await run(42), await run(42)];
  expect(first.journal).toEqual(second.journal);
  expect(first.journal.length).toBeGreaterThan(100);
});
