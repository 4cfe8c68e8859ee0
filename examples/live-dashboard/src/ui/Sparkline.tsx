import { extent, linePath, scale } from '../model/plot.ts';

const WIDTH = 100;
const HEIGHT = 26;

/** How a figure went, without axes: decoration beside the figure itself, so it is not read out. */
export function Sparkline({ values }: { values: readonly (number | null)[] }) {
  if (values.length < 2) return <svg className="spark" aria-hidden="true" />;
  const x = scale(0, values.length - 1, 0, WIDTH);
  const [low, high] = extent(values);
  const y = scale(low, high, HEIGHT - 2, 2);
  const path = linePath(values.map((value, index) => [x(index), value === null ? null : y(value)]));
  return (
    <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
