import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'forks', // a segfault behind koffi then kills one file, not the run
    maxWorkers: 3, // most files wait for real processes more than they compute
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/tools.ts'],
    testTimeout: 60_000, // only against hanging: machines do other things too
    hookTimeout: 60_000,
  },
})
