/** Runs the check of a target by its kind. */
import type { Target } from '../health/target.ts'
import { checkHttp } from './http.ts'
import type { Observation } from './observation.ts'
import { checkTcp } from './tcp.ts'

/** Never rejects; ends within the check's timeout. */
export function runCheck(target: Target): Promise<Observation> {
  const { check } = target
  return check.type === 'tcp' ? checkTcp(target) : checkHttp({ ...target, check })
}
