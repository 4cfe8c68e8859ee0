import { useMemo, useSyncExternalStore } from 'react';
import { scopeOf } from '../model/scope.ts';

function subscribe(listener: () => void) {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

export function useScope() {
  const fragment = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => scopeOf(fragment), [fragment]);
}
