// Rooms, patterns and events: canonical spelling, and what reaches what. Pure, and the same rules as the server's
// (docs/protocol.md, section 5). Whether a name is allowed at all is left to the server, which knows its configuration.

const SYSTEM_CHANNELS = /^(org|user)$/;

/** Spells a room or pattern as the server does: the long form becomes the short one, `all` becomes `*`, a needless `**` goes. */
export function canonical(written: string): string {
  let segments = written.split(':');
  if (segments[1] === 'org' && segments.length > 2) segments = shorten(segments);
  let rest = segments.at(-1) === '**';
  if (rest) segments.pop();
  if (segments[0] === 'all') {
    segments[0] = '*';
    rest ||= !segments.includes('*', 1);
  }
  return segments.join(':') + (rest && segments.includes('*') ? ':**' : '');
}

/** `kpi:org:acme:dept:sales:queue:support` to `kpi:acme:sales:support`. A queue without a department may lie in any. */
function shorten([channel, , org, ...rest]: string[]): string[] {
  const short = [channel!, org!];
  if (rest[0] === 'dept' && rest.length > 1) short.push(rest.splice(0, 2)[1]!);
  if (rest[0] === 'queue' && rest.length > 1) {
    if (short.length === 2) short.push('*');
    short.push(rest.splice(0, 2)[1]!);
  }
  return [...short, ...rest];
}

/** Whether a publication into `room` reaches a subscription on the canonical `pattern`; with `cascade` it also reaches what lies below. */
export function reaches(pattern: string, room: string, cascade = false): boolean {
  const steps = pattern.split(':');
  // A room means itself and everything below it.
  const rest = !steps.includes('*');
  const below = steps.at(-1) === '**' ? !!steps.pop() : rest;
  const segments = room.split(':');
  const shared = Math.min(steps.length, segments.length);
  for (let depth = 0; depth < shared; depth++) {
    const step = steps[depth];
    const taken = step === '*' ? depth > 0 || !SYSTEM_CHANNELS.test(segments[0]!) : step === segments[depth];
    if (!taken) return false;
  }
  return steps.length === segments.length || (steps.length < segments.length ? below : cascade);
}

/** Makes a test for events from a name or a wildcard: `kpi:update`, `kpi:*`, `activity.*`, `*`. */
export function eventTest(pattern: string): (event: string) => boolean {
  const source = pattern.replace(/[^*\w]/g, '\\$&').replace(/\*+/g, '.*');
  const test = new RegExp(`^${source}$`);
  return (event) => test.test(event);
}
