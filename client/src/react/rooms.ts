// Subscriptions of a component: which rooms, how they stand, and what a hook makes of their publications.

import type { RefObject } from 'react';
import { RoomcastError } from '../index.js';
import type { Client, Gap, Publication, RoomcastFault, Subscription, SubscriptionStatus } from '../types.js';
import { useLatest, useStore } from './store.js';
import type { Batch, Source } from './store.js';

/** Rooms put together from ids, as in the protocol's `subscribe` by channels. */
export interface RoomIds {
  /** Default: the org of the session. */
  organizationId?: string | undefined;
  departmentId?: string | undefined;
  /** Without `departmentId`: the queue of this name in every department. */
  queueName?: string | undefined;
}

/** A room or pattern, several, or channels with ids. */
export type Target = string | readonly string[] | (RoomIds & { channels: readonly string[] });

export interface RoomOptions {
  /** `false` subscribes to nothing. Default true. */
  enabled?: boolean;
  /** Only publications whose event matches, such as `kpi:update`, `kpi:*`. */
  event?: string;
  /** Replays what came after this position first. */
  since?: string;
  /** Default `frame`. */
  batch?: Batch;
  /** Called for every publication, before the component hears of it. A new function does not subscribe anew. */
  onPublication?: (publication: Publication) => void;
  onGap?: (gap: Gap) => void;
}

export interface RoomsView {
  /** The worst of all rooms. `pending` also while the connection is away, and until the org is known. */
  status: SubscriptionStatus | 'disabled';
  /** The last admitted loss since the component was shown: fetch the present state anew. */
  gap: Gap | null;
  /** Why a subscription failed or ended. */
  fault: RoomcastFault | null;
}

/** What a hook keeps of publications. It changes in place; `view` is called once per notification. */
export interface Fold<V> {
  /** `false` says that the publication changed nothing. */
  add(publication: Publication): boolean;
  /** May hold the hook's actions too. */
  view(): V;
}

const worst = ['failed', 'ended', 'pending'] as const;

/** The rooms of a target, or none while its org is unknown. */
export function roomsOf(target: Target, sessionOrg?: string): readonly string[] {
  if (typeof target === 'string') return [target];
  if (!('channels' in target)) return target;
  const { channels, organizationId = sessionOrg, departmentId, queueName } = target;
  const ids = [organizationId, departmentId || (queueName && '*'), queueName].filter(Boolean);
  const wrong = ids.find((id) => id?.includes(':'));
  if (wrong) throw new RoomcastError('INVALID_ROOM', `"${wrong}" has a colon: give ids one by one`);
  return organizationId ? channels.map((channel) => [channel, ...ids].join(':')) : [];
}

/**
 * Subscribes while the component is shown, and shows what a fold keeps. It begins anew when the target or an option has changed,
 * other than a function. `makeFold` gets a function to call when its view has changed by itself.
 */
export function useRooms<V extends object>(
  target: Target,
  options: RoomOptions,
  makeFold: (client: Client, changed: () => void) => Fold<V>,
): V & RoomsView {
  const latest = useLatest(options);
  const room = options.enabled === false ? null : target;
  // Functions are not in the JSON text.
  const key = JSON.stringify([target, options]);
  return useStore((client, changed) => watch(client, room, latest, makeFold, changed), key, options.batch);
}

function watch<V extends object>(
  client: Client,
  target: Target | null,
  latest: RefObject<RoomOptions>,
  makeFold: (client: Client, changed: () => void) => Fold<V>,
  changed: () => void,
): Source<V & RoomsView> {
  // An id that is no segment is told while rendering, where it comes from.
  if (target) roomsOf(target);
  let subscriptions: readonly Subscription[] = [];
  let gap: Gap | null = null;
  let fault: RoomcastFault | null = null;
  let last: Publication | undefined;
  let kept: V | undefined;
  const touch = () => {
    kept = undefined;
    changed();
  };
  const fold = makeFold(client, touch);
  const has = (status: RoomsView['status']) => subscriptions.some((subscription) => subscription.status === status);
  const take = (publication: Publication) => {
    // It comes once per room that it reaches.
    if (publication === last) return;
    last = publication;
    if (fold.add(publication)) touch();
    latest.current.onPublication?.(publication);
  };
  const onGap = (next: Gap) => {
    if (next === gap) return;
    gap = next;
    changed();
    latest.current.onGap?.(next);
  };
  const onError = (next: RoomcastFault) => {
    fault = next;
    changed();
  };
  const leave = () => {
    subscriptions.forEach((subscription) => subscription.unsubscribe());
    subscriptions = [];
  };
  /** Also when the session begins that tells the org, and after a login as somebody else, which ends all subscriptions. */
  const enter = () => {
    changed();
    if (!target || (subscriptions[0] && !has('ended'))) return;
    leave();
    const { event, since } = latest.current;
    const rooms = roomsOf(target, client.session?.organizationId);
    subscriptions = rooms.map((room) => client.subscribe(room, take, { event, since, onGap, onError }));
    subscriptions.forEach(({ ready }) => ready.then(changed, changed));
  };
  return {
    view() {
      kept ??= fold.view();
      const status = !target ? 'disabled' : (worst.find(has) ?? (subscriptions[0] ? 'active' : 'pending'));
      return { ...kept, status, gap, fault: status === 'active' ? null : fault };
    },
    start() {
      enter();
      const stops = [client.on('session', enter), client.on('state', changed), leave];
      return () => stops.forEach((stop) => stop());
    },
  };
}
