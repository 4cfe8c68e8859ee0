// The part of the company that is looked at: the org, a department or a queue. It stands in the address, so that the browser's
// back button works and a part can be bookmarked.

export interface Scope {
  department: string | null;
  queue: string | null;
}

export const WHOLE_ORG: Scope = { department: null, queue: null };

/** Reads `#/service/billing`; anything else is the whole org. */
export function scopeOf(fragment: string): Scope {
  const [, department, queue] = /^#\/([\w.@-]+)(?:\/([\w.@-]+))?$/.exec(fragment) ?? [];
  return { department: department ?? null, queue: queue ?? null };
}

export function fragmentOf({ department, queue }: Scope): string {
  return ['#', department, queue].filter((part) => part !== null).join('/');
}

export function covers(scope: Scope, department: string, queue: string): boolean {
  return (scope.department === null || scope.department === department) && (scope.queue === null || scope.queue === queue);
}

/** A room such as `kpi:acme:service:billing`, taken apart. */
export interface Address {
  channel: string;
  department: string | null;
  queue: string | null;
}

export function addressOf(room: string): Address {
  const [channel = '', , department = null, queue = null] = room.split(':');
  return { channel, department, queue };
}

/** Names a queue within the org. */
export function queueKey(department: string, queue: string): string {
  return `${department}/${queue}`;
}
