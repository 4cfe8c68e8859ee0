// Rooms, patterns and events: canonical spelling, and what reaches what. Pure, and the same rules as the server's
// (docs/protocol.md, section 5). Whether a name is allowed at all is left to the server, which knows its configuration.

const SYSTEM_CHANNELS = /^(org|user)$/;

const LONG_FORM = /^([^:]+):org(:[^:]+)(:dept(:[^:]+))?(:queue(:[^:]+))?/;

/** Spells a room or pattern as the server does: the long form becomes the short one, `all` becomes `*`, a needless `**` goes. */
export function canonical(written: string): string {
  // A queue without a department may lie in any.
  const short = written.replace(LONG_FORM, (_, channel, org, _d, dept, _q, queue = '') => channel + org + (dept ?? (queue && ':*')) + queue);
  const bare = short.replace(/:\*\*$/, '');
  const pattern = bare.replace(/^all:/, '*:');
  const rest = bare !== short || (pattern !== bare && !/:\*(:|$)/.test(bare));
  return pattern + (rest && /(^|:)\*(:|$)/.test(pattern) ? ':**' : '');
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
  const prefix = pattern.replace(/\*$/, '');
  return (event) => (prefix === pattern ? event === pattern : event.startsWith(prefix));
}
