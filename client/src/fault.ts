// The one error that the client throws, rejects with and reports.

import type { FaultCode, RoomcastFault } from './types.js';

/** What else may be known of a fault, the native `cause` included. */
export type FaultDetails = Partial<Omit<RoomcastFault, 'code' | 'message'>> & { cause?: unknown };

/** Codes of what cannot be granted; all others speak against the credentials or the moment, and unknown ones are like failures of the server. */
export const ASKED_TOO_MUCH = /^(UNAUTHORIZED|INVALID|ROOM|SUBSCRIPTION)/;

/** What every promise of the client rejects with. Never holds a token. */
export class RoomcastError extends Error implements RoomcastFault {
  declare readonly code: FaultCode | (string & {});
  declare readonly retryAfterMs?: number;
  declare readonly closeCode?: number;
  declare readonly fatal?: boolean;
  declare readonly data?: Readonly<Record<string, unknown>>;

  constructor(code: FaultCode | (string & {}), message: string, details?: FaultDetails) {
    super(message);
    Object.assign(this, { name: 'RoomcastError', code }, details);
  }
}
