import { describe, expect, it } from 'vitest';
import type { Outage } from './outage.ts';
import { NO_OUTAGE, connectionChanged, publicationsCame } from './outage.ts';
import { EMPTY_STRIP } from './strip.ts';

const strip = (received: number, replayed: number, missing = 0, gaps = 0) => ({ ...EMPTY_STRIP, received, replayed, missing, gaps });
const away = connectionChanged(NO_OUTAGE, 'reconnecting', strip(10, 2), 1_000);
const back = connectionChanged(away, 'connected', strip(10, 2), 4_000);

describe('an outage', () => {
  it('begins with reconnecting, not with the first connecting', () => {
    expect(connectionChanged(NO_OUTAGE, 'connecting', strip(0, 0), 0)).toEqual(NO_OUTAGE);
    expect(away.phase).toBe('away');
  });

  it('is one however many attempts it takes', () => {
    expect(connectionChanged(connectionChanged(away, 'connecting', strip(10, 2), 2_000), 'reconnecting', strip(10, 2), 3_000)).toEqual(away);
  });

  it('is over with the first live publication after the replayed ones', () => {
    const replaying = publicationsCame(back, strip(15, 7));
    expect(replaying.phase).toBe('catchingUp');
    expect(publicationsCame(replaying, strip(16, 7))).toEqual<Outage>({ phase: 'caughtUp', awayMs: 3_000, replayed: 5, missing: 0, gaps: 0 });
  });

  it('tells what it cost', () => {
    expect(publicationsCame(back, strip(12, 3, 4, 1))).toMatchObject({ phase: 'caughtUp', replayed: 1, missing: 4, gaps: 1 });
  });
});
