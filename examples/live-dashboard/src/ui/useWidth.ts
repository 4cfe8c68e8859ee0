import { useEffect, useRef, useState } from 'react';
import type { RefObject } from 'react';

/** The width of an element, as it changes. */
export function useWidth(): [RefObject<HTMLDivElement | null>, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(160, Math.floor(entry?.contentRect.width ?? 320))));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}
