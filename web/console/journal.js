// What the message list shows: publications and turns of events, newest last, bounded.
// Pure; app.js writes it, message-list.js draws it.

export const ENTRIES_MAX = 500;
/** Longest one-line preview of the data, in characters. */
const PREVIEW_MAX = 240;

export class Journal {
  constructor() {
    this.entries = [];
    this.written = 0;
  }

  /** @param {'publication' | 'gap' | 'note' | 'fault'} kind */
  write(kind, detail) {
    this.written += 1;
    this.entries.push({ number: this.written, kind, ...detail });
    if (this.entries.length > ENTRIES_MAX) this.entries.shift();
  }

  clear() {
    this.entries = [];
  }

  /** Entries that came after the one numbered `number`, oldest first. */
  after(number) {
    const fresh = this.written - number;
    return fresh <= 0 ? [] : this.entries.slice(-fresh);
  }
}

/** Whether an entry has the text in its room, event or data, whatever the case. Notes and gaps always show. */
export function matches(entry, text) {
  if (entry.kind !== 'publication' || text === '') return true;
  entry.haystack ??= `${entry.publication.room} ${entry.publication.event} ${JSON.stringify(entry.publication.data)}`.toLowerCase();
  return entry.haystack.includes(text.toLowerCase());
}

/** The data on one line. */
export function preview(data) {
  const text = JSON.stringify(data) ?? '';
  return text.length > PREVIEW_MAX ? `${text.slice(0, PREVIEW_MAX)}…` : text;
}
