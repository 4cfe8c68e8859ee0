// The one client that all hooks below share.

import { createElement, useEffect, useRef, useState } from 'react';
import type { ReactElement, ReactNode } from 'react';
import { createClient } from '../index.js';
import type { Client, ClientOptions } from '../types.js';
import { ClientContext, useLatest } from './store.js';

export interface RoomcastProviderProps {
  /** A client that you made and that you end. */
  client?: Client;
  /**
   * Or what to make one of: it connects when the provider is shown and disconnects when it goes. A new `url` makes a new client; a
   * new function for `token` is taken over; other options are read once.
   */
  options?: ClientOptions;
  children?: ReactNode;
}

/** Gives a client to the hooks below it. Takes either `client` or `options`. */
export function RoomcastProvider({ client, options, children }: RoomcastProviderProps): ReactElement {
  if (client) return createElement(ClientContext.Provider, { value: client }, children);
  if (!options) throw new Error('RoomcastProvider needs client or options');
  return createElement(OwnClient, { key: options.url, options }, children);
}

function OwnClient({ options, children }: { options: ClientOptions; children?: ReactNode }): ReactElement {
  const latest = useLatest(options);
  const [client] = useState(() => {
    const current: ClientOptions['token'] = (why) => {
      const now = latest.current.token;
      return typeof now === 'string' ? now : now(why);
    };
    return createClient({ ...options, token: typeof options.token === 'string' ? options.token : current, autoConnect: false });
  });
  const shown = useRef(false);
  useEffect(() => {
    shown.current = true;
    if (latest.current.autoConnect !== false) client.connect();
    return () => {
      shown.current = false;
      // StrictMode takes effects back and runs them again at once: that must not cost the connection.
      queueMicrotask(() => shown.current || client.disconnect());
    };
  }, [client, latest]);
  return createElement(ClientContext.Provider, { value: client }, children);
}
