/**
 * Starts the test files that wait longest first. By default vitest starts large files first, and the longest of ours is one
 * of the smallest: it began when all others had ended, and the cores were idle behind it.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** From the longest, by its seconds alone on two cores: 150, 90, 50, 40, 36, 36, 24, 23, 20. */
const LONGEST = [
  'test/e2e/fleet/partitions.test.ts',
  'test/e2e/fleet/incidents.test.ts',
  'test/attack/smoke.test.ts',
  'test/e2e/lifecycle.test.ts',
  'test/e2e/failover.test.ts',
  'test/store/redis/faults.test.ts',
  'test/e2e/docker.test.ts',
  'test/e2e/faults.test.ts',
  'test/e2e/fleet/failover.test.ts',
]

/** Where a file comes: its index in LONGEST, or behind all of those. */
function placeOf({ moduleId }: TestSpecification): number {
  const at = LONGEST.findIndex((file) => moduleId.endsWith(file))
  return at < 0 ? LONGEST.length : at
}

/** See above. Files that are not in the list keep vitest's order. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is vitest's method, not an array's
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b))
  }
}
