import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // Tests that need a document say so themselves in their first line.
    environment: 'node',
    restoreMocks: true,
  },
});
