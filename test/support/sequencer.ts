/**
 * Starts the longest test file first. By default vitest starts large files first, and the longest is one of the smallest: it
 * began when the others were ending, and the cores were idle behind it.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** It waits for most of its two and a half minutes, so it disturbs nobody. */
const LONGEST = 'test/e2e/fleet/partitions.test.ts'

const isLongest = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith(LONGEST)

/** See above. The other files keep vitest's order. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is vitest's method, not an array's
    const sorted = await super.sort(files)
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))]
  }
}
