import type { Session } from '@roomcast/client';
import { useWebSocket } from '@roomcast/client/react';
import { useState } from 'react';

/** The session, or the last one while the connection is away: who one is and in which org stays true meanwhile. */
export function useLastSession(): Session | null {
  const { session } = useWebSocket();
  const [last, setLast] = useState(session);
  if (session !== null && session !== last) setLast(session);
  return session ?? last;
}
