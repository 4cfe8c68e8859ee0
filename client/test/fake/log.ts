// An org's log as the server keeps it: dense positions, a bounded past, and histories that can be replaced.

import type { GapReason } from '../../src/types.js';

export interface Entry {
  id: string;
  /** Counts over all histories. */
  index: number;
  push: Record<string, unknown> & { event: string; room: string; data: unknown };
}

export class Log {
  private epoch: number;
  private base = 0;
  private entries: Entry[] = [];
  private keys = new Map<string, string>();
  private lost: GapReason = 'log_lost';
  readonly all: Entry[] = [];

  constructor(epoch = 1_763_700_000_000) {
    this.epoch = epoch;
  }

  get last(): string {
    return this.entries.at(-1)?.id ?? this.position(this.base);
  }

  /** Appends once per key. */
  append(push: Entry['push'], key?: string): { id: string; duplicate: boolean; entry?: Entry } {
    const earlier = key === undefined ? undefined : this.keys.get(key);
    if (earlier) return { id: earlier, duplicate: true };
    const id = this.position(this.base + this.entries.length + 1);
    const entry = { id, index: this.all.length, push: { ...push, id } };
    this.entries.push(entry);
    this.all.push(entry);
    if (key !== undefined) this.keys.set(key, id);
    return { id, duplicate: false, entry };
  }

  /** What came after a position, or from where on and why something is missing. */
  after(since: string): { entries: Entry[]; gap?: { from: string | null; to: string; reason: GapReason } } {
    if (since === this.position(this.base)) return { entries: [...this.entries] };
    const index = this.entries.findIndex((entry) => entry.id === since);
    if (index >= 0) return { entries: this.entries.slice(index + 1) };
    const same = since.startsWith(`${this.epoch.toString(16)}-`);
    return { entries: [...this.entries], gap: { from: since, to: this.position(this.base), reason: same ? 'trimmed' : this.lost } };
  }

  /** What lies behind a position, or, the newest first, in front of it. */
  around(since: string | null | undefined, reverse: boolean): ReturnType<Log['after']> {
    if (!reverse) return since ? this.after(since) : { entries: [...this.entries] };
    const index = since ? this.entries.findIndex((entry) => entry.id === since) : this.entries.length;
    return { entries: this.entries.slice(0, index).reverse() };
  }

  /** The last entry of each event in each room, if it is wanted. */
  latest(wanted: (push: Entry['push']) => boolean): { publications: Entry['push'][]; complete: boolean } {
    const name = ({ push }: Entry) => `${push.room} ${push.event}`;
    const last = new Map(this.entries.map((entry) => [name(entry), entry]));
    const told = this.entries.filter((entry) => last.get(name(entry)) === entry && wanted(entry.push));
    return { publications: told.map((entry) => entry.push), complete: true };
  }

  /** Forgets all but the newest entries. */
  trim(keep: number): void {
    const gone = Math.max(0, this.entries.length - keep);
    this.entries.splice(0, gone);
    this.base += gone;
  }

  /** Another history takes its place; the newest entries are in neither. */
  replace(reason: GapReason): void {
    this.epoch += 1;
    this.base = 0;
    this.entries = [];
    this.lost = reason;
  }

  private position(seq: number): string {
    return `${this.epoch.toString(16)}-${seq.toString(16)}-${(seq * 7919 + 11).toString(16)}`;
  }
}
