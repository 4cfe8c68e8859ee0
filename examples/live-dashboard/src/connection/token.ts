// The token's way into the page: a form, or the part of the address after `#`, which browsers send to nobody. It is kept for
// this tab only.

/** The part of the Web Storage API that is used. */
export interface TokenStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

const KEY = 'intraday.token';

/** The token in a fragment such as `#token=…`. */
export function tokenIn(fragment: string): string | null {
  return new URLSearchParams(fragment.slice(1)).get('token') || null;
}

/** Takes the token out of the address, so that it is in no history and no screenshot, or finds the one that this tab has. */
export function foundToken(
  location: Pick<Location, 'hash' | 'pathname' | 'search'>, history: Pick<History, 'replaceState'>, storage: TokenStorage,
): string | null {
  const token = tokenIn(location.hash);
  if (token === null) return storage.getItem(KEY);
  history.replaceState(null, '', location.pathname + location.search);
  storage.setItem(KEY, token);
  return token;
}

export function keepToken(token: string, storage: TokenStorage): void {
  storage.setItem(KEY, token);
}

export function forgetToken(storage: TokenStorage): void {
  storage.removeItem(KEY);
}
