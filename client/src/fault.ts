// The one error that the client throws, rejects with and reports.

import type { FaultCode, RoomcastFault } from './types.js';

interface FaultDetails {
  retryAfterMs?: number | undefined;
  closeCode?: number | undefined;
  fatal?: boolean | undefined;
  data?: Readonly<Record<string, unknown>> | undefined;
  cause?: unknown;
}

/** What every promise of the client rejects with. Never holds a token. */
export class RoomcastError extends Error implements RoomcastFault {
  readonly code: FaultCode | (string & {});
  readonly retryAfterMs: number | undefined;
  readonly closeCode: number | undefined;
  readonly fatal: boolean | undefined;
  readonly data: Readonly<Record<string, unknown>> | undefined;

  constructor(code: FaultCode | (string & {}), message: string, details: FaultDetails = {}) {
    super(message, { cause: details.cause });
    this.name = 'RoomcastError';
    this.code = code;
    this.retryAfterMs = details.retryAfterMs;
    this.closeCode = details.closeCode;
    this.fatal = details.fatal;
    this.data = details.data;
  }
}
