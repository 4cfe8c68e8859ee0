// Subscriptions to one room or several: which rooms, how they stand, and what is kept of their publications.

import { RoomcastError } from '../fault.js';
import type { Client, Filter, Gap, Handler, Publication, RoomcastFault, SubscribeOptions, Subscription, SubscriptionStatus } from '../types.js';
import { createStore } from './store.js';
import type { Batch, Source, Store } from './store.js';

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
  /** Only what passes: `where('severity >= 3')`. */
  filter?: Filter;
  /** How rooms are subscribed to: `followLatest` brings how they stand first. Default: by `client.subscribe`. */
  follow?: (client: Client, room: string, handler: Handler, options: SubscribeOptions) => Subscription;
  /** Default `frame`. */
  batch?: Batch;
  /** Called for every publication, before listeners hear of it. */
  onPublication?: (publication: Publication) => void;
  onGap?: (gap: Gap) => void;
}

export interface RoomsView {
  /** The worst of all rooms. `pending` also while the connection is away, and until the org is known. */
  status: SubscriptionStatus | 'disabled';
  /** The last admitted loss since the store was made: fetch the present state anew. */
  gap: Gap | null;
  /** Why a subscription failed or ended. */
  fault: RoomcastFault | null;
}

/** What is kept of publications. It changes in place; `view` is called once per notification. */
export interface Fold<V> {
  /** `false` says that the publication changed nothing. */
  add(publication: Publication): boolean;
  /** May hold actions too. */
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
 * Subscribes to a target while somebody listens, and shows how that stands. Functions among the options are read when they are called,
 * all others at once.
 */
export function subscriptionOf(client: Client, target: Target, options: RoomOptions = {}): Store<RoomsView> {
  return foldOf(client, target, options, () => ({ add: () => false, view: () => ({}) }));
}

/** Shows what a fold keeps, besides. `makeFold` gets a function to call when its view has changed by itself. */
export function foldOf<V extends object>(
  client: Client,
  target: Target,
  options: RoomOptions,
  makeFold: (changed: () => void) => Fold<V>,
): Store<V & RoomsView> {
  return createStore((changed) => watch(client, options.enabled === false ? null : target, options, makeFold, changed), options.batch);
}

function watch<V extends object>(
  client: Client,
  target: Target | null,
  options: RoomOptions,
  makeFold: (changed: () => void) => Fold<V>,
  changed: () => void,
): Source<V & RoomsView> {
  // An id that is no segment is told at once, where it comes from.
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
  const fold = makeFold(touch);
  const has = (status: RoomsView['status']) => subscriptions.some((subscription) => subscription.status === status);
  const take = (publication: Publication) => {
    // It comes once per room that it reaches.
    if (publication === last) return;
    last = publication;
    if (fold.add(publication)) touch();
    options.onPublication?.(publication);
  };
  const onGap = (next: Gap) => {
    if (next === gap) return;
    gap = next;
    changed();
    options.onGap?.(next);
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
    const { event, since, filter, follow } = options;
    const more = { event, since, filter, onGap, onError } as SubscribeOptions;
    const rooms = roomsOf(target, client.session?.organizationId);
    subscriptions = rooms.map((room) => (follow ? follow(client, room, take, more) : client.subscribe(room, take, more)));
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
