// What becomes of publications that ask to be acknowledged. The gateway tells their publisher in the publisher's own room, once nothing
// more can come.

import { RoomcastError } from './fault.js';
import type { Client, PublishRequest, Receipt, ReceiptOptions, Unsubscribe } from './types.js';

/** Receipts that came before it was known for which publication one waits. */
const earlyMax = 100;

/**
 * Hands over every receipt of this client's user, once each: those of the user's other clients too, and those that completed while
 * this one was away, as far as the log goes back.
 */
export function onReceipt(client: Client, listener: (receipt: Receipt) => void): Unsubscribe {
  return client.onEvent('receipt', ({ data }) => listener(data as Receipt));
}

/**
 * Publishes with `requiresAck` and waits for the receipt: until all whom it reached have acknowledged it, or its time is over (a minute,
 * unless the gateway is told otherwise). It waits over reconnects, so give a signal to wait no longer.
 *
 * @throws what `publish` throws, `UNSUPPORTED` where the gateway counts no acknowledgements, or the signal's reason
 */
export async function publishForReceipt(client: Client, request: PublishRequest, { signal }: ReceiptOptions = {}): Promise<Receipt> {
  let id: string | null | undefined;
  const early = new Map<string, Receipt>();
  const { promise, resolve, reject } = deferred<Receipt>();
  const forget = onReceipt(client, (receipt) => {
    if (receipt.id === id) resolve(receipt);
    else if (!id && early.size < earlyMax) early.set(receipt.id, receipt);
  });
  const abort = () => reject(signal!.reason);
  signal?.addEventListener('abort', abort);
  try {
    signal?.throwIfAborted();
    ({ id } = await client.publish({ ...request, requiresAck: true }));
    if (!client.session?.features.includes('ack')) throw new RoomcastError('UNSUPPORTED', 'this server counts no acknowledgements');
    return early.get(id!) ?? (await promise);
  } finally {
    forget();
    signal?.removeEventListener('abort', abort);
    // Where nobody waits any more, nobody is to be told.
    promise.catch(() => {});
  }
}

function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}
