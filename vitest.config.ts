import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/sequencer.ts'
import { RFC_TESTS, systemTests } from './test/support/projects.ts'

const system = systemTests()

export default defineConfig({
  test: {
    pool: 'forks', // a segfault behind koffi then kills one file, not the run
    maxWorkers: 4, // of most files a worker waits more than it computes
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/support/tools.ts'],
    testTimeout: 240_000, // only against hanging: behind until(), which says what it waited for
    hookTimeout: 240_000,
    projects: [
      { extends: true, test: { name: 'system', include: system } },
      { extends: true, test: { name: 'rfc', include: [RFC_TESTS], isolate: false } }, // one server for many files
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [RFC_TESTS, ...system],
          isolate: false, // nothing is started, so nothing is left to the next file
          setupFiles: ['test/support/alone.ts'],
        },
      },
    ],
  },
})
