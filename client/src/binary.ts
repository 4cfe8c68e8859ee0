// Bytes as data. In messages they travel as base64 that `encoding` names as such, whatever the transport makes of it.

import type { Publication, PublishRequest } from './types.js';

/** Bytes that one call of String.fromCharCode takes at once. */
const CHUNK = 0x8000;

/** What `publish` is to be told for data that are bytes: `client.publish({ room, event, ...asBytes(bytes) })`. */
export function asBytes(bytes: Uint8Array): Required<Pick<PublishRequest<string>, 'data' | 'encoding'>> {
  return { data: toBase64(bytes), encoding: 'base64' };
}

/** The bytes of a publication, or nothing where its data are JSON. */
export function bytesOf({ data, encoding }: Publication): Uint8Array | undefined {
  return encoding === 'base64' && typeof data === 'string' ? fromBase64(data) : undefined;
}

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
