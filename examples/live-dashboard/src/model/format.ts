// Figures as people read them. Everything that has no value is a dash.

const NONE = '–';
const WHOLE = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });

export function whole(value: number | null): string {
  return value === null ? NONE : WHOLE.format(value);
}

export function percent(share: number | null): string {
  return share === null ? NONE : `${WHOLE.format(share * 100)} %`;
}

/** With its sign, for what is above or below something. */
export function difference(share: number | null): string {
  if (share === null) return NONE;
  const points = Math.round(share * 100);
  return `${points > 0 ? '+' : points < 0 ? '−' : '±'}${Math.abs(points)} %`;
}

/** Minutes and seconds, `4:07`; from an hour on hours and minutes, `5 h 12`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return NONE;
  const rounded = Math.round(seconds);
  if (rounded >= 3600) return `${Math.floor(rounded / 3600)} h ${pad(Math.floor((rounded % 3600) / 60))}`;
  return `${Math.floor(rounded / 60)}:${pad(rounded % 60)}`;
}

/** How old something is, without seconds: `54 min`, `1 h 51`, `2 d 3 h`. */
export function age(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${pad(minutes % 60)}` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The time of day, `14:05`. */
export function clock(timeS: number): string {
  return `${pad(Math.floor(timeS / 3600) % 24)}:${pad(Math.floor((timeS % 3600) / 60))}`;
}

/** A name from an address as a title: `first-line` becomes `First line`. */
export function title(name: string): string {
  const words = name.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function plural(count: number, one: string, many: string): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
