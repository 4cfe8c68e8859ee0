// The few things that the views need of the page. Text only ever enters it as text.

/** The element with this id; index.html has it. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * A new element. `properties` are set as they are; those of `data` become data attributes.
 * @param {string} tag
 * @param {Record<string, unknown>} properties
 * @param {(Node | string)[]} children strings become text nodes
 */
export function element(tag, { data = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, data);
  node.append(...children);
  return node;
}

/** Sets the text only when it changes, so that screen readers do not repeat themselves and nothing is laid out for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}
