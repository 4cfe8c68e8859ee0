// Where things lie, and how long anything may take.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CLIENT = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const ROOT = join(CLIENT, '..');
export const BINARY = process.env.ROOMCAST_BIN ?? join(ROOT, 'target/debug/roomcast');
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Longest wait for anything that is expected to come about. */
export const PATIENCE_MS = 20_000;
