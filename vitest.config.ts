import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'forks', // a segfault behind koffi then kills one file, not the run
    maxWorkers: 3, // most files wait for real processes more than they compute
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/tools.ts'],
    testTimeout: 90_000, // only against hanging: behind until(), which says what it waited for
    hookTimeout: 90_000,
  },
})
