// Runs a Connection on a real WebSocket and the browser's clock, and hands what it tells to the page.
// It decides nothing: connection.js does.

import { Connection } from './connection.js';

const SUBPROTOCOL = 'roomcast.v1';

export class Link {
  /**
   * @param {string} url of the WebSocket
   * @param {(news: {what: string}) => void} onNews called for everything that the connection tells
   */
  constructor(url, onNews) {
    this.url = url;
    this.onNews = onNews;
    this.connection = new Connection();
    this.socket = null;
    this.timer = null;
  }

  /** Calls an input of the connection by name, e.g. `run('subscribe', ['kpi:acme'])`. */
  run(input, ...args) {
    this.#perform(this.connection[input](...args, performance.now()));
  }

  #perform(actions) {
    for (const action of actions) {
      if (action.do === 'open') this.#open();
      if (action.do === 'close') this.#close();
      if (action.do === 'send') this.socket?.send(action.text);
      if (action.do === 'tell') this.onNews(action);
    }
    this.#sleep();
  }

  #open() {
    this.#close();
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.socket = socket;
    // A socket that was given up may still speak; only the current one is listened to.
    const listen = (type, input) => socket.addEventListener(type, (event) => {
      if (this.socket === socket) input(event);
    });
    listen('open', () => this.run('opened'));
    listen('message', (event) => this.run('received', event.data));
    listen('close', (event) => {
      this.socket = null;
      this.run('closed', event.code, event.reason);
    });
  }

  #close() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  #sleep() {
    clearTimeout(this.timer);
    const at = this.connection.wakeAt();
    if (at === null) return;
    // One millisecond more, because timers may fire a fraction early and would then find nothing to do.
    this.timer = setTimeout(() => this.run('tick'), Math.max(0, at - performance.now()) + 1);
  }
}
