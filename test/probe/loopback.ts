/** The peers of tests are on loopback, which a prober reaches only where it is told to. */
import { makeReach, type ReachSettings } from '../../src/health/reach.ts'
import type { Target } from '../../src/health/target.ts'
import { runCheck as run } from '../../src/probe/checks/check.ts'
import type { Commands } from '../../src/probe/checks/exec.ts'
import type { Observation } from '../../src/probe/checks/observation.ts'

export const LOOPBACK: ReachSettings = { allow: ['127.0.0.0/8', '::1'], deny: [], own: [] }
const reach = makeReach(LOOPBACK)

export const runCheck = (target: Target, commands: Commands = {}): Promise<Observation> =>
  run(target, { commands, reach })
