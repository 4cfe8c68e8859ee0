// Geometry of charts: scales, ticks, paths.

export type Point = readonly [x: number, y: number | null];

/** Maps [from, to] onto [start, end]; an empty range onto the middle. */
export function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  if (from === to) return () => (start + end) / 2;
  return (value) => start + ((value - from) / (to - from)) * (end - start);
}

export function extent(values: readonly (number | null)[]): [number, number] {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? [0, 1] : [Math.min(...known), Math.max(...known)];
}

/** A round number that is at least this great: 1, 2, 4, 5, 8 times a power of ten. */
export function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 5, 8, 10].find((one) => one * power >= value) ?? 10;
  return step * power;
}

/** An SVG path through the points, with a hole where a value is unknown. */
export function linePath(points: readonly Point[]): string {
  let pen = 'M';
  return points.map(([x, y]) => {
    if (y === null) {
      pen = 'M';
      return '';
    }
    const part = `${pen}${round(x)},${round(y)}`;
    pen = 'L';
    return part;
  }).join('');
}

/** The area between the points and a floor; unknown values end one area and begin another. */
export function areaPath(points: readonly Point[], floor: number): string {
  const runs: [number, number][][] = [];
  let run: [number, number][] = [];
  for (const [x, y] of points) {
    if (y !== null) run.push([x, y]);
    else if (run.length > 0) {
      runs.push(run);
      run = [];
    }
  }
  if (run.length > 0) runs.push(run);
  return runs.map((one) => {
    const [first, last] = [one[0]?.[0] ?? 0, one.at(-1)?.[0] ?? 0];
    return `${linePath(one)}L${round(last)},${round(floor)}L${round(first)},${round(floor)}Z`;
  }).join('');
}

/** The index of the value nearest to a target in a rising list, or -1 in an empty one. */
export function nearest(rising: readonly number[], target: number): number {
  let best = -1;
  rising.forEach((value, index) => {
    if (best === -1 || Math.abs(value - target) < Math.abs((rising[best] ?? 0) - target)) best = index;
  });
  return best;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
