// Cuts a server's bytes into WebSocket frames (RFC 6455, section 5.2), so that a front can tell one message from the next. Pure.

import { Transform } from 'node:stream';

const TEXT = 1;

/** The length of the frame at the beginning of `bytes` with where its payload begins; `undefined` while its head is not all there. */
function measure(bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 0x7f;
  if (short < 126) return { begin: 2, end: 2 + short };
  if (short === 126) return bytes.length < 4 ? undefined : { begin: 4, end: 4 + bytes.readUInt16BE(2) };
  return bytes.length < 10 ? undefined : { begin: 10, end: 10 + Number(bytes.readBigUInt64BE(2)) };
}

/**
 * Passes a server's bytes on frame by frame, once the head of its HTTP answer is through. `judge` is told the text of each message, which
 * neither is compressed nor comes in pieces here, and says `pass`, `drop` or `cut`: the frame goes on, is swallowed, or ends everything.
 */
export function judged(judge, cut) {
  let rest = Buffer.alloc(0);
  let upgraded = false;
  return new Transform({
    transform(chunk, _encoding, done) {
      rest = Buffer.concat([rest, chunk]);
      if (!upgraded) {
        const headEnd = rest.indexOf('\r\n\r\n');
        if (headEnd < 0) return done();
        this.push(rest.subarray(0, headEnd + 4));
        rest = rest.subarray(headEnd + 4);
        upgraded = true;
      }
      for (let frame; (frame = measure(rest)) && frame.end <= rest.length; rest = rest.subarray(frame.end)) {
        const text = (rest[0] & 0x0f) === TEXT ? rest.toString('utf8', frame.begin, frame.end) : '';
        const verdict = text ? judge(text) : 'pass';
        if (verdict === 'cut') return cut();
        if (verdict === 'pass') this.push(rest.subarray(0, frame.end));
      }
      return done();
    },
  });
}
