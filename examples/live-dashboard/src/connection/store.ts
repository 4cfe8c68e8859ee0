// Holds the state outside of React: publications may come by the hundred, and the page is drawn a few times per second.

import type { ConnectionState, Gap } from '@roomcast/client';
import type { Outage } from '../model/outage.ts';
import { NO_OUTAGE, connectionChanged, publicationsCame } from '../model/outage.ts';
import type { DashboardState, Received } from '../model/state.ts';
import { EMPTY_STATE, received } from '../model/state.ts';
import { cutHere, gapAdmitted } from '../model/strip.ts';

export interface Shown {
  dashboard: DashboardState;
  outage: Outage;
}

export interface Clock {
  now(): number;
  /** Calls back once, after so long. */
  after(ms: number, callback: () => void): void;
}

/** Calm to look at, and quick enough to be called live. */
const DRAW_MS = 200;

export class DashboardStore {
  #shown: Shown = { dashboard: EMPTY_STATE, outage: NO_OUTAGE };
  #dashboard = EMPTY_STATE;
  #outage: Outage = NO_OUTAGE;
  #drawing = false;
  #listeners = new Set<() => void>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly shown = () => this.#shown;

  readonly receive = (publication: Received) => {
    this.#dashboard = received(this.#dashboard, publication);
    this.#outage = publicationsCame(this.#outage, this.#dashboard.strip);
    this.#draw();
  };

  readonly admitGap = ({ reason }: Gap) => {
    this.#dashboard = { ...this.#dashboard, strip: gapAdmitted(this.#dashboard.strip, reason) };
    this.#draw();
  };

  readonly connection = (state: ConnectionState) => {
    const next = connectionChanged(this.#outage, state, this.#dashboard.strip, this.#clock.now());
    const lost = next.phase === 'away' && this.#outage.phase !== 'away';
    if (lost) this.#dashboard = { ...this.#dashboard, strip: cutHere(this.#dashboard.strip) };
    this.#outage = next;
    this.#draw();
  };

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    this.#clock.after(DRAW_MS, () => {
      this.#drawing = false;
      this.#shown = { dashboard: this.#dashboard, outage: this.#outage };
      for (const listener of this.#listeners) listener();
    });
  }
}
