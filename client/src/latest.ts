// How rooms stand when somebody begins to look, and what changes from there. A module of its own: whoever asks for nothing older does not
// load it.
//
// The subscription is one like all others. Once it stands, the server is asked for the last publications of its rooms, and answers when all that came
// before them has come here. What comes meanwhile is held, and handed over behind them: so the order is the log's, and nothing comes twice.

import { environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { toPublication } from './history.js';
import { safely } from './listeners.js';
import { eventTest } from './pattern.js';
import type { SubscribedData } from './protocol.generated.js';
import { faultOf, retryDelayMs } from './retry.js';
import type { Client, Handler, Publication, RoomcastFault, SubscribeOptions, Subscription } from './types.js';

/** Publications held while the server is asked. When it takes longer than that they are handed over. */
const heldMax = 1_000;
/** Of this many rooms something has come without an answer: the page is full, and older values are of no use to it. */
const roomsMax = 1_000;

export interface LatestOptions extends SubscribeOptions {
  /** The rooms have been told: with `false` not all, because there may be more than the server keeps or tells. */
  onLatest?: (complete: boolean) => void;
}

/**
 * Subscribes like `client.subscribe`, and hands over the last publication of each event in each room first; needs the right `history` too. A
 * reconnect goes on where it was. After a gap all are told anew, also where nothing was lost. When the server cannot be asked, `onError` is told
 * why, and the subscription goes on without.
 */
export function followLatest<T = unknown>(client: Client, room: string, handler: Handler<T>, options: LatestOptions = {}): Subscription {
  const { event = '*', filter, onGap, onError, onLatest } = options;
  const takes = eventTest(event);
  /** The server has to be asked. */
  let open = true;
  /** What came while it is asked; `undefined` where nothing is held. */
  let held: Publication<T>[] | undefined = [];
  /** Rooms of which something was handed over without an answer: what it says of them would be older. */
  const known = new Set<string>();
  let stands = false;
  let asked = 0;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const hand = (publication: Publication<T>) => safely(environment, () => handler(publication));

  /** Holds nothing any more. */
  function release() {
    const waiting = held ?? [];
    held = undefined;
    waiting.forEach(pass);
  }

  function pass(publication: Publication<T>) {
    if (open) known.add(publication.room);
    hand(publication);
    if (known.size > roomsMax) settle(false);
  }

  function settle(complete: boolean) {
    open = false;
    known.clear();
    failures = 0;
    safely(environment, () => onLatest?.(complete));
  }

  const subscription = client.subscribe<T>(
    room,
    (publication) => {
      if (!held) return pass(publication);
      held.push(publication);
      if (held.length > heldMax) release();
    },
    {
      ...options,
      onGap(gap) {
        release();
        onGap?.(gap);
        known.clear();
        open = true;
        held = [];
        void ask();
      },
    },
  );
  const stopListening = client.on('session', () => void ask());
  const begun = () => {
    stands = true;
    void ask();
  };
  subscription.ready.then(begun, release);

  async function ask() {
    clearTimeout(timer);
    const mine = ++asked;
    if (!open || !stands || !client.session || /ended|failed/.test(subscription.status)) return;
    if (!client.session.features.includes('latest')) return failed(new RoomcastError('UNSUPPORTED', 'the server tells no last publications'));
    try {
      const rooms = [filter ? { room, filter: filter.text } : room];
      const { latest } = await client.request<SubscribedData>('subscribe', { rooms, latest: true });
      if (mine !== asked || !open) return;
      // Asked for in vain on this connection, the subscription is asked for again, and what comes until then would be missing.
      if (subscription.status !== 'active') return again(1_000);
      take(latest!);
    } catch (reason) {
      if (mine !== asked) return;
      release();
      const fault = faultOf(reason);
      // The next connection asks by itself.
      if (fault.code === 'DISCONNECTED') return;
      const delayMs = retryDelayMs(fault, ++failures, Math.random());
      if (delayMs === null) failed(fault);
      else again(delayMs);
    }
  }

  function take({ publications, complete }: NonNullable<SubscribedData['latest']>) {
    const coming = new Set(held?.map(({ id }) => id));
    for (const push of publications) {
      // Those of rooms of which something has come already would be older.
      if (asked && !known.has(push.room) && !coming.has(push.id) && takes(push.event)) hand({ ...toPublication<T>(push), latest: true });
    }
    open = false;
    release();
    settle(complete);
  }

  function again(delayMs: number) {
    timer = setTimeout(() => void ask(), delayMs);
  }

  function failed(fault: RoomcastFault) {
    open = false;
    release();
    if (onError) safely(environment, () => onError(fault));
    else environment.report(fault);
  }

  return {
    room: subscription.room,
    ready: subscription.ready,
    get status() {
      return subscription.status;
    },
    unsubscribe() {
      stands = open = false;
      asked = 0;
      held = undefined;
      clearTimeout(timer);
      stopListening();
      subscription.unsubscribe();
    },
  };
}
