// Every publication as it came, in a row of cells. The publisher numbers what it sends per room, so a hole is seen here by
// itself, independent of what client and gateway believe.

/** `gap`: the gateway admits a loss. `cut`: the connection was lost here. */
export type CellKind = 'live' | 'replayed' | 'missing' | 'gap' | 'cut';

export interface Cell {
  /** Counts up from 0; a cell keeps its key while it is shown. */
  key: number;
  kind: CellKind;
  title: string;
}

export interface Arrival {
  room: string;
  event: string;
  replayed: boolean;
  /** Absent for what people publish. */
  number: { run: string; seq: number } | null;
}

/** What is known of one run of the publisher in one room. */
interface Track {
  last: number;
  /** Numbers that have not come, and the key of their cell. */
  missing: ReadonlyMap<number, number>;
}

export interface Strip {
  cells: readonly Cell[];
  nextKey: number;
  received: number;
  replayed: number;
  missing: number;
  twice: number;
  gaps: number;
  tracks: ReadonlyMap<string, Track>;
}

/** Rows in which the cells are drawn, column by column. */
export const STRIP_ROWS = 3;
const CELLS_MAX = 720;
/** Old cells leave in whole groups, so that the others keep their row. */
const CELLS_DROPPED = 10 * STRIP_ROWS;
/** Cells drawn for one hole; all of it is counted. */
const HOLE_CELLS_MAX = 60;
const TRACKS_MAX = 512;

export const EMPTY_STRIP: Strip = { cells: [], nextKey: 0, received: 0, replayed: 0, missing: 0, twice: 0, gaps: 0, tracks: new Map() };

export function arrived(strip: Strip, arrival: Arrival): Strip {
  const kind = arrival.replayed ? 'replayed' : 'live';
  const counted = { ...strip, received: strip.received + 1, replayed: strip.replayed + (arrival.replayed ? 1 : 0) };
  const { number } = arrival;
  if (number === null) return append(counted, kind, `${arrival.event}, not numbered, ${kind}`);
  const name = `${arrival.room} ${number.run}`;
  const title = `${arrival.room} ${arrival.event} number ${number.seq}, ${kind}`;
  const track = strip.tracks.get(name);
  // The first number that is seen of a run in a room is where watching begins; what came before was never asked for.
  if (track === undefined) return follow(append(counted, kind, title), name, { last: number.seq, missing: new Map() });
  if (number.seq > track.last) return advance(counted, name, track, arrival.room, number.seq, kind, title);
  const late = track.missing.get(number.seq);
  if (late === undefined) return append({ ...counted, twice: counted.twice + 1 }, kind, `${title}, for the second time`);
  return fill(counted, name, track, number.seq, late, kind, title);
}

/** The gateway says that something may be lost. */
export function gapAdmitted(strip: Strip, reason: string): Strip {
  return append({ ...strip, gaps: strip.gaps + 1 }, 'gap', `gap admitted by the gateway: ${reason}`);
}

/** The connection was lost. */
export function cutHere(strip: Strip): Strip {
  return append(strip, 'cut', 'connection lost');
}

function advance(strip: Strip, name: string, track: Track, room: string, seq: number, kind: CellKind, title: string): Strip {
  const missing = new Map(track.missing);
  let next: Strip = { ...strip, missing: strip.missing + (seq - track.last - 1) };
  for (let lost = Math.max(track.last + 1, seq - HOLE_CELLS_MAX); lost < seq; lost += 1) {
    missing.set(lost, next.nextKey);
    next = append(next, 'missing', `${room} number ${lost}, missing`);
  }
  return follow(append(next, kind, title), name, { last: seq, missing });
}

/** What was missing has come after all. */
function fill(strip: Strip, name: string, track: Track, seq: number, key: number, kind: CellKind, title: string): Strip {
  const missing = new Map(track.missing);
  missing.delete(seq);
  const cells = strip.cells.map((cell) => (cell.key === key ? { key, kind, title } : cell));
  return follow({ ...strip, cells, missing: strip.missing - 1 }, name, { ...track, missing });
}

function follow(strip: Strip, name: string, track: Track): Strip {
  const tracks = new Map(strip.tracks);
  tracks.delete(name);
  tracks.set(name, track);
  const [oldest] = tracks.keys();
  if (tracks.size > TRACKS_MAX && oldest !== undefined) tracks.delete(oldest);
  return { ...strip, tracks };
}

function append(strip: Strip, kind: CellKind, title: string): Strip {
  const cells = [...strip.cells, { key: strip.nextKey, kind, title }];
  return { ...strip, nextKey: strip.nextKey + 1, cells: cells.length > CELLS_MAX ? cells.slice(CELLS_DROPPED) : cells };
}
