// Publishes over a connection of its own while the page's one is down, so that there is something to catch up with.

import { createClient } from './roomcast.js';

/**
 * Publishes in order, then leaves; tries once, because later the page is back and there is nothing to catch up with.
 * @param {{room: string, event: string, data: unknown}[]} publications
 * @param {() => void} onPublished called for each that was logged
 * @param {(fault: {code: string, message: string}) => void} onFault called for each that was not
 */
export async function publishElsewhere(url, token, publications, onPublished, onFault) {
  const client = createClient({ url, token, backoff: { attemptsMax: 0 } });
  client.on('error', () => client.disconnect({ forget: true }));
  await Promise.all(publications.map((publication) => client.publish(publication).then(onPublished, onFault)));
  client.disconnect({ forget: true });
}
