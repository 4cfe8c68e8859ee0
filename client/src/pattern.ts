// Rooms, patterns and events: canonical spelling, and what reaches what. Pure, and the same rules as the server's
// (docs/protocol.md, section 5). Whether a name is allowed at all is left to the server, which knows its configuration.

const SYSTEM_CHANNELS = /^(org|user):/;

const LONG_FORM = /^([^:]+):org(:[^:]+)(?::dept(:[^:]+))?(?::queue(:[^:]+))?/;

/** Spells a room or pattern as the server does: the long form becomes the short one, `all` becomes `*`, a needless `**` goes. */
export function canonical(written: string): string {
  // A queue without a department may lie in any.
  const short = written.replace(LONG_FORM, (_, channel, org, dept, queue = '') => channel + org + (dept ?? (queue && ':*')) + queue);
  const bare = short.replace(/:\*\*$/, '');
  const pattern = bare.replace(/^all:/, '*:');
  const rest = bare !== short || (pattern !== bare && !hasWildcard(bare));
  return pattern + (rest && hasWildcard(pattern) ? ':**' : '');
}

const hasWildcard = (pattern: string) => pattern.split(':').includes('*');

/** Whether a publication into `room` reaches a subscription on the canonical `pattern`; with `cascade` it also reaches what lies below. */
export function reaches(pattern: string, room: string, cascade?: boolean): boolean {
  const steps = pattern.split(':');
  const segments = room.split(':');
  // A room means itself and everything below it.
  const below = !hasWildcard(pattern) || (steps.at(-1) === '**' && !!steps.pop());
  const fits = (step: string, depth: number) => {
    if (depth >= segments.length) return cascade;
    return step === segments[depth] || (step === '*' && (depth > 0 || !SYSTEM_CHANNELS.test(room)));
  };
  return steps.every(fits) && (below || steps.length >= segments.length);
}

/** Makes a test for events from a name or a wildcard: `kpi:update`, `kpi:*`, `activity.*`, `*`. */
export function eventTest(pattern: string): (event: string) => boolean {
  const prefix = pattern.replace(/\*$/, '');
  return (event) => (prefix === pattern ? event === pattern : event.startsWith(prefix));
}
