// The members of one room as the server tells them. Pure; called by presence, which sends the commands.

import type { Member, PresenceStatus } from '../types.js';

/** A member as it stands in messages. */
export interface WireMember {
  user_id: string;
  status: PresenceStatus;
  state: unknown;
}

/** The reply to `presence:watch`. */
export interface Snapshot {
  room: string;
  version: number;
  members: readonly WireMember[];
}

/** The push `presence:diff`. */
export interface Diff {
  room: string;
  version: number;
  joined: readonly WireMember[];
  updated: readonly WireMember[];
  left: readonly string[];
}

/** Diffs that came before the snapshot; more of them than this is taken for a hole. */
const earlyMax = 256;

export interface Roster {
  readonly members: readonly Member[];
  /** A snapshot was asked for: diffs wait until it has come. */
  expect(): void;
  /** Returns `false` when a diff is missing, so that the room has to be watched again. */
  snapshot(snapshot: Snapshot): boolean;
  diff(diff: Diff): boolean;
  clear(): void;
}

export function roster(): Roster {
  const byUser = new Map<string, Member>();
  let members: readonly Member[] = [];
  let version = 0;
  let early: Diff[] | null = [];
  const put = (member: WireMember) =>
    byUser.set(member.user_id, { userId: member.user_id, status: member.status, state: member.state });
  const apply = (diff: Diff) => {
    if (diff.version <= version) return true;
    if (diff.version !== version + 1) return false;
    version = diff.version;
    diff.left.forEach((userId) => byUser.delete(userId));
    diff.joined.forEach(put);
    diff.updated.forEach(put);
    members = [...byUser.values()];
    return true;
  };
  return {
    get members() {
      return members;
    },
    expect() {
      early = [];
    },
    snapshot(snapshot) {
      byUser.clear();
      snapshot.members.forEach(put);
      members = [...byUser.values()];
      version = snapshot.version;
      const waiting = early ?? [];
      early = null;
      return waiting.length <= earlyMax && waiting.every(apply);
    },
    diff(diff) {
      if (!early) return apply(diff);
      if (early.length <= earlyMax) early.push(diff);
      return true;
    },
    clear() {
      byUser.clear();
      members = [];
    },
  };
}
