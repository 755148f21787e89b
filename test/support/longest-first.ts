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

/** See above. Files that are not in the list keep vitest's order. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((file) => moduleId.endsWith(file))
      return at < 0 ? LONGEST.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b))
  }
}
