// MessagePack, as far as the protocol has it: JSON's values, and bytes.

/** Deeper than anything that a server sends. */
const DEPTH_MAX = 100;

/** Packs a value that JSON could hold, with bytes in it where there are any. */
export function pack(value: unknown): Uint8Array {
  const parts: (number[] | Uint8Array)[] = [];
  write(value, parts);
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function write(value: unknown, parts: (number[] | Uint8Array)[]): void {
  if (value === null || value === undefined) parts.push([0xc0]);
  else if (typeof value === 'boolean') parts.push([value ? 0xc3 : 0xc2]);
  else if (typeof value === 'number') parts.push(number(value));
  else if (typeof value === 'string') {
    const text = new TextEncoder().encode(value);
    parts.push(text.length < 32 ? [0xa0 | text.length] : header(0xd9, text.length), text);
  } else if (value instanceof Uint8Array) parts.push(header(0xc4, value.length), value);
  else if (Array.isArray(value)) {
    parts.push(value.length < 16 ? [0x90 | value.length] : header(0xdb, value.length, 1));
    for (const item of value) write(item, parts);
  } else {
    const members = Object.entries(value as object).filter(([, member]) => member !== undefined);
    parts.push(members.length < 16 ? [0x80 | members.length] : header(0xdd, members.length, 1));
    for (const [key, member] of members) {
      write(key, parts);
      write(member, parts);
    }
  }
}

/** The length in one, two or four bytes, behind `first` or one of the two bytes after it. `from` is 1 where there is no form of one byte. */
function header(first: number, length: number, from = 0): number[] {
  const form = Math.max(from, length < 0x100 ? 0 : length < 0x1_0000 ? 1 : 2);
  return [first + form, ...bigEndian(length, 1 << form)];
}

function bigEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Math.floor(value / 2 ** (8 * (bytes - 1 - index))) & 0xff);
}

function number(value: number): number[] {
  if (Number.isInteger(value) && !Object.is(value, -0)) {
    if (value >= -32 && value < 128) return [value & 0xff];
    if (value >= 0 && value < 2 ** 32) return header(0xcc, value);
    if (value >= -(2 ** 31) && value < 0) return [0xd2, ...bigEndian(value + 2 ** 32, 4)];
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return [0xcf, ...bigEndian(value, 8)];
  }
  const view = new DataView(new ArrayBuffer(9));
  view.setUint8(0, 0xcb);
  view.setFloat64(1, value);
  return [...new Uint8Array(view.buffer)];
}

/** Unpacks one value; bytes are copies. Throws where there is none, or more than one. Numbers beyond 2^53 lose their last digits, as in JSON. */
export function unpack(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const unsigned = (size: number) => {
    let value = 0;
    for (const end = at + size; at < end; at++) value = value * 256 + view.getUint8(at);
    return value;
  };
  const signed = (size: number) => {
    if (size === 8) {
      at += size;
      return Number(view.getBigInt64(at - size));
    }
    const value = unsigned(size);
    return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
  };
  const take = (length: number) => {
    if (at + length > bytes.length) throw new RangeError('MessagePack that is cut off');
    return bytes.slice(at, (at += length));
  };
  const text = (length: number) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(take(length));
  const list = (length: number, depth: number) => {
    const items: unknown[] = [];
    while (items.length < length) items.push(value(depth));
    return items;
  };
  const map = (length: number, depth: number) => {
    const entries: [string, unknown][] = [];
    while (entries.length < length) entries.push([String(value(depth)), value(depth)]);
    return Object.fromEntries(entries);
  };
  const float = (size: 4 | 8) => {
    at += size;
    return size === 4 ? view.getFloat32(at - 4) : view.getFloat64(at - 8);
  };

  function value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new RangeError('MessagePack that is nested too deep');
    const first = unsigned(1);
    if (first < 0x80) return first;
    if (first < 0x90) return map(first & 0x0f, depth + 1);
    if (first < 0xa0) return list(first & 0x0f, depth + 1);
    if (first < 0xc0) return text(first & 0x1f);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return take(unsigned(1 << (first - 0xc4)));
      case 0xca: return float(4);
      case 0xcb: return float(8);
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return unsigned(1 << (first - 0xcc));
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return signed(1 << (first - 0xd0));
      case 0xd9: case 0xda: case 0xdb: return text(unsigned(1 << (first - 0xd9)));
      case 0xdc: case 0xdd: return list(unsigned(2 << (first - 0xdc)), depth + 1);
      case 0xde: case 0xdf: return map(unsigned(2 << (first - 0xde)), depth + 1);
      default: throw new RangeError(`MessagePack with an extension (${first})`);
    }
  }

  const whole = value(0);
  if (at !== bytes.length) throw new RangeError('more than one value of MessagePack');
  return whole;
}
