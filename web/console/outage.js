// Publishes over a connection of its own while the page's one is down, so that there is something to catch up with.

import { Link } from './link.js';

/**
 * Publishes one after another, then leaves; gives up quietly when it cannot connect, since `onNews` has heard why.
 * @param {{room: string, event: string, data: unknown}[]} publications
 * @param {(news: {what: string}) => void} onNews
 */
export function publishElsewhere(url, token, publications, onNews) {
  let left = publications.length;
  const link = new Link(url, (news) => {
    onNews(news);
    if (news.what === 'connected') for (const publication of publications) link.run('publish', publication);
    if (news.what === 'published' || (news.what === 'fault' && news.command === 'publish')) left -= 1;
    if (left === 0 || news.what === 'lost' || news.what === 'refused') {
      left = -1;
      // After this turn, because the connection is still in the middle of telling.
      if (link.connection.phase !== 'idle') queueMicrotask(() => link.run('signOut'));
    }
  });
  link.run('connect', token);
}
