// The publish form: reads it, and shows what would be sent.

import { byId, setText } from './dom.js';

/**
 * The publication in the form.
 * @throws {SyntaxError} when the data is no JSON
 */
export function readPublication() {
  const publication = {
    room: byId('publish-room').value.trim(),
    event: byId('publish-event').value.trim(),
    data: JSON.parse(byId('publish-data').value),
  };
  const priority = byId('publish-priority').value;
  return priority === 'medium' ? publication : { ...publication, priority };
}

/** Shows the command but for the `id` and the idempotency key, which the client adds. */
export function renderCommand() {
  const data = byId('publish-data');
  try {
    setText(byId('command'), JSON.stringify({ event: 'publish', data: readPublication() }));
    data.removeAttribute('aria-invalid');
  } catch (error) {
    setText(byId('command'), `The data is no JSON: ${error.message}`);
    data.setAttribute('aria-invalid', 'true');
  }
}
