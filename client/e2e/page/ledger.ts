// Counts numbers that a backend publishes from 1 on: which are missing, came twice, or came too late. Knows nothing of the client. Pure.

export interface Account {
  count: number;
  last: number;
  missing: readonly number[];
  doubled: readonly number[];
  late: readonly number[];
}

export class Ledger {
  #seen = new Set<number>();
  #last = 0;
  #doubled: number[] = [];
  #late: number[] = [];

  /** `before` is what an earlier ledger has taken. */
  constructor(before: readonly number[] = []) {
    before.forEach((number) => this.take(number));
  }

  take(number: number): void {
    if (this.#seen.has(number)) this.#doubled.push(number);
    else if (number < this.#last) this.#late.push(number);
    this.#seen.add(number);
    this.#last = Math.max(this.#last, number);
  }

  get taken(): readonly number[] {
    return [...this.#seen];
  }

  get account(): Account {
    const missing: number[] = [];
    for (let number = 1; number < this.#last; number++) if (!this.#seen.has(number)) missing.push(number);
    return { count: this.#seen.size, last: this.#last, missing, doubled: [...this.#doubled], late: [...this.#late] };
  }
}
