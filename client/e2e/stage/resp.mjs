// As much of Redis' protocol (RESP2) as publishing and reading a log take. Pure.

const LINE_END = '\r\n';

/** One command as bytes. */
export function command(parts) {
  const texts = parts.map(String);
  return [`*${texts.length}`, ...texts.flatMap((text) => [`$${Buffer.byteLength(text)}`, text])].join(LINE_END) + LINE_END;
}

/** Reads one reply at `at`; `undefined` while it is not all there, else the reply and where it ends. */
export function read(bytes, at) {
  const lineEnd = bytes.indexOf(LINE_END, at);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('utf8', at + 1, lineEnd);
  const next = lineEnd + LINE_END.length;
  switch (bytes[at]) {
    case 0x2b: // +
      return { reply: line, next };
    case 0x2d: // -
      return { reply: new Error(line), next };
    case 0x3a: // :
      return { reply: Number(line), next };
    case 0x24: // $
      return bulk(bytes, Number(line), next);
    case 0x2a: // *
      return list(bytes, Number(line), next);
    default:
      throw new Error(`no reply of Redis begins with byte ${bytes[at]}`);
  }
}

function bulk(bytes, length, at) {
  if (length < 0) return { reply: null, next: at };
  const next = at + length + LINE_END.length;
  return next > bytes.length ? undefined : { reply: bytes.toString('utf8', at, at + length), next };
}

function list(bytes, length, at) {
  const reply = [];
  let next = at;
  while (reply.length < length) {
    const item = read(bytes, next);
    if (!item) return undefined;
    reply.push(item.reply);
    ({ next } = item);
  }
  return { reply, next };
}
