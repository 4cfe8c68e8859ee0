// Chance with a seed: the same seed gives the same day. Pure.

export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1), by a 32-bit counter whose value is mixed (splitmix). */
  next() {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  }

  /** A generator of its own, so that one part's use of chance does not move another's. */
  fork() {
    return new Random(Math.floor(this.next() * 2 ** 32));
  }

  /** @param {number} low @param {number} high */
  between(low, high) {
    return low + this.next() * (high - low);
  }

  /** @param {number} chance */
  happens(chance) {
    return this.next() < chance;
  }

  /** @param {number} mean */
  exponential(mean) {
    return -mean * Math.log(1 - this.next());
  }

  /**
   * How often something happens that happens `mean` times on average; by multiplication, so for small means only.
   * @param {number} mean
   */
  poisson(mean) {
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.next(); product > limit; product *= this.next()) count += 1;
    return count;
  }

  /**
   * Handle times look like this: many short ones, a long tail.
   * @param {number} mean
   * @param {number} spread Sigma of the logarithm.
   */
  logNormal(mean, spread) {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return mean * Math.exp(spread * normal - (spread * spread) / 2);
  }
}
