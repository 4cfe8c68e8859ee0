// What tests of hooks share: a world with a client, frames that pass when a test says so, and a provider around what is rendered.

import { act } from '@testing-library/react';
import { createElement, StrictMode } from 'react';
import type { ReactNode } from 'react';
import { vi } from 'vitest';
import type { Client, ClientOptions } from '../../src/index.js';
import { RoomcastProvider } from '../../src/react/index.js';
import { createWorld } from '../fake-server.js';
import type { World } from '../fake-server.js';

export interface Stage extends World {
  shared: Client;
  wrapper: (props: { children: ReactNode }) => ReactNode;
  strict: (props: { children: ReactNode }) => ReactNode;
  /** Lets commands be answered, and frames pass. */
  play(ms?: number): Promise<void>;
  /** One animation frame. */
  frame(): void;
}

export function createStage(options: Partial<ClientOptions> = {}): Stage {
  const frames: FrameRequestCallback[] = [];
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback));
  const world = createWorld();
  const shared = world.client(options);
  const frame = () => frames.splice(0).forEach((callback) => callback(0));
  const provide = (children: ReactNode) => createElement(RoomcastProvider, { client: shared }, children);
  return {
    ...world,
    shared,
    frame,
    wrapper: ({ children }) => provide(children),
    strict: ({ children }) => createElement(StrictMode, null, provide(children)),
    play: (ms) =>
      act(async () => {
        await world.settle(ms);
        frame();
      }),
  };
}
