/**
 * A member's condition (state, share, calm, and the reasons) from its judgement, its override and the brake. Pure:
 * members.ts calls assess() when an input has changed or `wakeAtMs` has come, and writes the result to the HealthTable.
 */
import { formatShare } from '../units.ts'
import type { Availability } from './brake.ts'
import type { Judgement } from './judgement.ts'
import { actionAt, type Override, type OverrideAction, shareAt, shiftInWords } from './override.ts'
import { type AgentShare, damp, rampNextMs, rampShare } from './share.ts'
import { DOWN, DRAINED, FORCED_DOWN, type HealthState, UNPROVEN, UP } from './table.ts'
import type { MemberSpec, ServiceSpec } from './target.ts'
import type { Verdict } from './vote.ts'

/** A member's state and everything that its answers depend on. */
export interface Condition {
  readonly state: MemberState
  /** The verdict is DOWN, but the brake keeps the member in the answers. */
  readonly braked: boolean
  /** When state or brake last changed. */
  readonly sinceMs: number
  readonly why: string
  /** Share of its traffic that it takes, in ‰ (0–1000). */
  readonly share: number
  readonly shareWhy: string
  readonly calm: boolean
  /** Why it is not calm, in words; empty when it is. */
  readonly unrest: string
  /** When it becomes calm if nothing else happens; undefined: it is calm, or time alone does not make it so. */
  readonly calmAtMs: number | undefined
  /** Start of the ramp-up; undefined: it does not ramp. */
  readonly rampSinceMs: number | undefined
  readonly agent: AgentShare | undefined
  /** When time alone changes something; Infinity: never. */
  readonly wakeAtMs: number
}

/** The part of a Condition that is saved, and that exists before the first judgement. */
export interface PriorCondition extends Pick<Condition, 'state' | 'braked' | 'sinceMs' | 'rampSinceMs' | 'agent'> {
  /** Of a saved file or another plan: what changed since did so unseen, and nothing starts a ramp. */
  readonly remembered?: boolean
}

/** Everything that a condition is derived from. */
export interface ConditionInputs {
  readonly spec: MemberSpec
  readonly service: ServiceSpec
  readonly judgement: Judgement
  readonly override: Override | undefined
  /** The brake holds its site. */
  readonly braked: boolean
  /** Nobody of its service is usable. */
  readonly lastResort: boolean
}

/** The condition of a member now. `before`: its condition so far; undefined for a member never seen. */
export function assess(now: ConditionInputs, before: PriorCondition | undefined, nowMs: number): Condition {
  const { spec, service, judgement, override } = now
  const action = override && actionAt(override, nowMs)
  const isFree = (action === undefined || action === 'shift') && !spec.drained
  const braked = now.braked && judgement.verdict === 'down' && isFree
  const state = stateOf(spec, judgement.verdict, action, braked)
  const same = before !== undefined && before.state === state && before.braked === braked
  const sinceMs = same ? before.sinceMs : nowMs
  const rampSinceMs = rampOf(state === 'up' && !braked, service.rampUpMs, before, nowMs)
  const ramp = rampSinceMs === undefined ? 1000 : rampShare(rampSinceMs, nowMs, service.rampUpMs)
  const ramping = ramp < 1000
  const granted = judgement.verdict === 'up' ? before?.agent : undefined
  const asked = judgement.verdict === 'up' ? judgement.share : undefined
  const { agent, nextMs } = damp(granted, asked, nowMs, service.ttlMaxSeconds)
  const allowed = override === undefined ? 1000 : shareAt(override, nowMs)
  const share = state === 'up' ? Math.min(ramp, agent?.share ?? 1000, allowed) : 1000
  const movement = movementOf(now, state, braked, ramping)
  const still = movement === ''
  const calmAtMs = spec.targets.length === 0 ? nowMs : sinceMs + spec.settleMs
  const calm = still && calmAtMs <= nowMs
  return {
    state,
    braked,
    sinceMs,
    why: whyOf(now, state, braked),
    share,
    shareWhy:
      share === 1000
        ? ''
        : allowed === share && override?.shift !== undefined
          ? shiftInWords({ ...override.shift, now: allowed })
          : ramp === share
            ? `ramps up, ${formatShare(share)} so far`
            : `its agent asks for ${formatShare(share)}`,
    calm,
    unrest: calm ? '' : still ? 'it settles' : movement,
    calmAtMs: still && !calm ? calmAtMs : undefined,
    rampSinceMs: ramping ? rampSinceMs : undefined,
    agent,
    wakeAtMs: Math.min(
      still && !calm ? calmAtMs : Infinity,
      ramping ? rampNextMs(rampSinceMs!, nowMs, service.rampUpMs) : Infinity,
      nextMs,
    ),
  }
}

/** Start of the ramp of a member that comes back; none after a brake, an unproven state or a restart. */
function rampOf(
  isUp: boolean,
  rampUpMs: number,
  before: PriorCondition | undefined,
  nowMs: number,
): number | undefined {
  if (!isUp || rampUpMs === 0 || before === undefined) return undefined
  if (before.state === 'up') return before.rampSinceMs
  return before.state === 'unproven' || before.remembered === true ? undefined : nowMs
}

/** What moves or may move soon, in words; empty: nothing. */
function movementOf(
  { judgement, override, lastResort }: ConditionInputs,
  state: MemberState,
  braked: boolean,
  ramping: boolean,
) {
  if (override !== undefined) return 'an override is in force'
  if (state !== 'up' && state !== 'down') return `it is ${state}`
  if (braked) return 'the brake holds it'
  if (lastResort) return 'no member of its service is usable'
  if (ramping) return 'it ramps up'
  if (judgement.held) return 'its votes do not decide'
  if (judgement.former) return 'its former check decides'
  return judgement.moving ? 'a prober sees it change' : ''
}

function whyOf({ spec, judgement, override }: ConditionInputs, state: MemberState, braked: boolean): string {
  const { why } = judgement
  if (override?.action === 'up' || override?.action === 'down') return `${describeOverride(override)}; ${why}`
  if (braked)
    return `DOWN, but the brake keeps it in the answers: less than \`keep\` of ${spec.service} would be left; ${why}`
  if (state === 'up' && override?.action === 'shift') return `${describeOverride(override)}; ${why}`
  if (state !== 'drained') return why
  return `${override === undefined ? 'drained by its file' : describeOverride(override)}; ${why}`
}

/** Without the share of a shift, which changes with each step. */
function describeOverride({ action, who, why, pattern, shift }: Override): string {
  const what =
    shift !== undefined
      ? shiftInWords({ ...shift, now: shift.to })
      : action === 'drain'
        ? 'drained'
        : `forced ${action}`
  return `${what} by ${who} (${pattern}${why === '' ? '' : `: ${why}`})`
}

/** The state of a member. `forced`: forced down; a member that is forced up is `up`. */
export type MemberState = 'unproven' | 'up' | 'down' | 'drained' | 'forced'

/** What a member counts as for the brake and for the capacity that is left. `action`: actionAt() of its override. */
export function availabilityOf(
  { drained }: MemberSpec,
  verdict: Verdict | undefined,
  action: OverrideAction | undefined,
): Availability {
  if (action === 'up') return 'up'
  if (action === 'drain' || action === 'down' || drained) return 'out'
  return verdict ?? 'out'
}

/**
 * The state by precedence: force > drain > brake > verdict. A drain only drains what is up; what is down stays down.
 * `action`: actionAt() of its override.
 */
export function stateOf(
  { drained }: MemberSpec,
  verdict: Verdict | undefined,
  action: OverrideAction | undefined,
  braked: boolean,
): MemberState {
  if (action === 'up') return 'up'
  if (action === 'down') return 'forced'
  if (verdict === 'down') return braked ? 'up' : 'down'
  return drained || action === 'drain' ? 'drained' : (verdict ?? 'unproven')
}

/** State bits of the HealthTable's words, by state. */
export const STATE_BITS: Readonly<Record<MemberState, HealthState>> = {
  unproven: UNPROVEN,
  up: UP,
  down: DOWN,
  drained: DRAINED,
  forced: FORCED_DOWN,
}
