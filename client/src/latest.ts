// How rooms stand when somebody begins to look, and what changes from there. A module of its own: whoever asks for nothing older does not
// load it.
//
// The subscription is one like all others. Once it stands, the server is asked for the last publications of its rooms, and answers when all that came
// before them has come here. So a room that something has come from meanwhile needs none, and of the others nothing comes twice.

import { environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { toPublication } from './history.js';
import { safely } from './listeners.js';
import { eventTest } from './pattern.js';
import type { SubscribedData } from './protocol.generated.js';
import { faultOf, retryDelayMs } from './retry.js';
import type { Client, Handler, RoomcastFault, SubscribeOptions, Subscription } from './types.js';

export interface LatestOptions extends SubscribeOptions {
  /** The rooms have been told: with `false` not all of them, because there are more than the server keeps or tells. */
  onLatest?: (complete: boolean) => void;
}

/**
 * Subscribes like `client.subscribe`, and hands over the last publication of each room first; needs the right `history` too. A reconnect goes on
 * where it was. After a gap each room is told anew, also where nothing of it was lost. When the server cannot be asked, `onError` is told why, and the
 * subscription goes on without.
 */
export function followLatest<T = unknown>(client: Client, room: string, handler: Handler<T>, options: LatestOptions = {}): Subscription {
  const { event = '*', filter, onGap, onError, onLatest } = options;
  const takes = eventTest(event);
  /** What has come from since the server has to be asked; `undefined` once it has answered. */
  let heard: Set<string> | undefined = new Set();
  let stands = false;
  let asked = 0;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const subscription = client.subscribe<T>(
    room,
    (publication) => {
      heard?.add(publication.room);
      handler(publication);
    },
    {
      ...options,
      onGap(gap) {
        heard = new Set();
        void ask();
        onGap?.(gap);
      },
    },
  );
  const stopListening = client.on('session', () => void ask());
  const begun = () => {
    stands = true;
    void ask();
  };
  subscription.ready.then(begun, () => undefined);

  async function ask() {
    clearTimeout(timer);
    const mine = ++asked;
    if (!heard || !stands || !client.session || /ended|failed/.test(subscription.status)) return;
    if (!client.session.features.includes('latest')) return failed(new RoomcastError('UNSUPPORTED', 'the server tells no last publications'));
    try {
      const rooms = [filter ? { room, filter: filter.text } : room];
      const { latest } = await client.request<SubscribedData>('subscribe', { rooms, latest: true });
      if (mine !== asked) return;
      // Asked for in vain on this connection, it is asked for again, and what comes until then would be missing.
      if (subscription.status !== 'active') return again(1_000);
      take(latest!);
    } catch (reason) {
      if (mine !== asked) return;
      const fault = faultOf(reason);
      // The next connection asks by itself.
      if (fault.code === 'DISCONNECTED') return;
      const delayMs = retryDelayMs(fault, ++failures, Math.random());
      if (delayMs === null) failed(fault);
      else again(delayMs);
    }
  }

  function take({ publications, complete }: NonNullable<SubscribedData['latest']>) {
    const known = heard!;
    heard = undefined;
    failures = 0;
    for (const push of publications) {
      if (asked && !known.has(push.room) && takes(push.event)) safely(environment, () => handler(toPublication<T>(push)));
    }
    safely(environment, () => onLatest?.(complete));
  }

  function again(delayMs: number) {
    timer = setTimeout(() => void ask(), delayMs);
  }

  function failed(fault: RoomcastFault) {
    heard = undefined;
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
      stands = false;
      asked = 0;
      clearTimeout(timer);
      stopListening();
      subscription.unsubscribe();
    },
  };
}
