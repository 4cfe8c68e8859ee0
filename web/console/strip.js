// The recent stretch of the org's log as this page saw it: one cell for each sequence number.
// Pure; app.js feeds it, strip-view.js draws it.

/** Sequence numbers remembered. */
const CELLS_MAX = 512;

/**
 * A position as the numbers in it, or null. Positions are opaque to clients; only this page, which comes with the very server
 * that made them, peeks inside in order to draw the log.
 */
export function peek(position) {
  const parts = /^([0-9a-f]{1,16})-([0-9a-f]{1,16})-[0-9a-f]{1,16}$/.exec(position ?? '');
  return parts && { epoch: parts[1], seq: Number.parseInt(parts[2], 16) };
}

/** A cell is `live`, `replayed`, `elsewhere` (in the log, but in rooms not subscribed to) or `missing` (within a gap). */
export class Strip {
  constructor() {
    this.reset();
  }

  reset() {
    this.totals = { live: 0, replayed: 0, missing: 0 };
    /** Cells of logs that another one has replaced. */
    this.past = [];
    this.#begin(null, null);
  }

  /** A publication arrived. */
  received(id, replayed) {
    const at = this.#enter(id);
    if (at === null) return;
    const kind = replayed ? 'replayed' : 'live';
    this.#fill(at.seq, 'elsewhere');
    this.#set(at.seq, kind);
    this.totals[kind] += 1;
  }

  /** The server says that everything up to `position` has been delivered. */
  passed(position) {
    const at = this.#enter(position);
    if (at !== null) this.#fill(at.seq + 1, 'elsewhere');
  }

  /** The server admits that what follows `from`, up to and with `to`, may be missing. */
  gap({ from, to }) {
    const start = peek(from);
    const end = this.#enter(to);
    if (end === null) return;
    const first = start?.epoch === end.epoch ? start.seq + 1 : end.seq;
    this.last = Math.max(this.last, end.seq);
    for (let seq = Math.max(first, end.seq - CELLS_MAX); seq <= end.seq; seq += 1) this.#set(seq, 'missing');
    this.totals.missing += Math.max(0, end.seq - first + 1);
  }

  /** The connection was lost after the newest cell. */
  cut() {
    if (this.last !== null) this.cuts.add(this.last);
  }

  /** The newest `count` cells, oldest first: `{seq, kind, cut}`. */
  newest(count) {
    const seqs = [...this.cells.keys()].sort((a, b) => a - b);
    const present = seqs.map((seq) => ({ seq, kind: this.cells.get(seq), cut: this.cuts.has(seq) }));
    return [...this.past, ...present].slice(-count);
  }

  #begin(epoch, last) {
    this.epoch = epoch;
    this.last = last;
    this.cells = new Map();
    this.cuts = new Set();
  }

  /** Notes the log that the position belongs to; another log goes on where the last one ended, with numbers of its own. */
  #enter(position) {
    const at = peek(position);
    if (at === null) return null;
    if (this.epoch !== at.epoch) {
      this.past = this.newest(CELLS_MAX);
      this.#begin(at.epoch, at.seq);
    }
    return at;
  }

  /** Everything between the newest cell and `end`, which is left out, was passed without being received. */
  #fill(end, kind) {
    for (let seq = Math.max(this.last + 1, end - CELLS_MAX); seq < end; seq += 1) this.#set(seq, kind);
    this.last = Math.max(this.last, end - 1);
  }

  #set(seq, kind) {
    this.cells.set(seq, kind);
    this.last = Math.max(this.last, seq);
    const oldest = this.last - CELLS_MAX;
    if (this.cells.size > CELLS_MAX) {
      for (const old of this.cells.keys()) if (old <= oldest) this.cells.delete(old);
      for (const old of this.cuts) if (old <= oldest) this.cuts.delete(old);
    }
  }
}
