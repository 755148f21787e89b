/**
 * A member's condition (state, share, calm, and the reasons) from its judgement, its override and the brake. Pure:
 * members.ts calls assess() when an input has changed or `wakeAtMs` has come, and writes the result to the HealthTable.
 */
import { formatShare } from '../units.ts'
import type { Availability } from './brake.ts'
import type { Judgement } from './judgement.ts'
import { actionAt, type Override, type OverrideAction, shareAt, shiftInWords } from './override.ts'
import { type AgentShare, damp, rampNextMs, rampShare } from './share.ts'
import type { Freeze } from './freeze.ts'
import { DOWN, DRAINED, FORCED_DOWN, type HealthState, RECOVERED, UNPROVEN, UP } from './table.ts'
import type { MemberSpec, ServiceSpec } from './target.ts'
import type { Verdict } from './vote.ts'

/** A member's state and everything that its answers depend on. */
export interface Condition {
  readonly state: MemberState
  /** The verdict is DOWN, but the brake keeps the member in the answers. */
  readonly braked: boolean
  /** A freeze keeps the state against the verdict. */
  readonly frozen: boolean
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
  /** By which it goes: that of the judgement, or what a freeze says. */
  readonly verdict: Verdict | undefined
  /** The freeze by which its service goes. */
  readonly freeze: Freeze | undefined
  readonly override: Override | undefined
  /** Why its service has failed over from its site, and awaits the return; undefined: it has not. */
  readonly away: string | undefined
  /** The brake holds its site. */
  readonly braked: boolean
  /** Nobody of its service is usable. */
  readonly lastResort: boolean
}

/** The condition of a member now. `before`: its condition so far; undefined for a member never seen. */
export function assess(now: ConditionInputs, before: PriorCondition | undefined, nowMs: number): Condition {
  const { spec, service, judgement, verdict, freeze, override } = now
  const action = override && actionAt(override, nowMs)
  const isFree = (action === undefined || action === 'shift') && !spec.drained
  const braked = now.braked && verdict === 'down' && isFree
  const isForced = action === 'up' || action === 'down'
  const frozen = freeze !== undefined && verdict !== judgement.verdict && !isForced
  const state = stateOf(spec, verdict, action, braked, now.away !== undefined)
  const same = before !== undefined && before.state === state && before.braked === braked
  const sinceMs = same ? before.sinceMs : nowMs
  const rampSinceMs = rampOf(state === 'up' && !braked, service.rampUpMs, before, nowMs)
  // a freeze stops ramps that have begun before it, until it is over
  const stopMs = freeze?.entry.setMs ?? Infinity
  const rampMs = rampSinceMs !== undefined && rampSinceMs < stopMs ? Math.min(nowMs, stopMs) : nowMs
  const ramp = rampSinceMs === undefined ? 1000 : rampShare(rampSinceMs, rampMs, service.rampUpMs)
  const ramping = ramp < 1000
  const granted = verdict === 'up' ? before?.agent : undefined
  const isAsked = verdict === 'up' && (freeze === undefined || granted === undefined)
  const { agent, nextMs } = damp(granted, isAsked ? judgement.share : undefined, nowMs, service.ttlMaxSeconds)
  const allowed = override === undefined ? 1000 : shareAt(override, nowMs)
  const share = state === 'up' ? Math.min(ramp, agent?.share ?? 1000, allowed) : 1000
  const movement = frozen && isFree ? 'the freeze keeps it as it is' : movementOf(now, state, braked, ramping)
  const still = movement === ''
  const calmAtMs = spec.targets.length === 0 ? nowMs : sinceMs + spec.settleMs
  const calm = still && calmAtMs <= nowMs
  return {
    state,
    braked,
    frozen,
    sinceMs,
    why: frozen && isFree ? frozenWhy(now, freeze) : whyOf(now, state, braked),
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
      ramping && rampMs === nowMs ? rampNextMs(rampSinceMs!, nowMs, service.rampUpMs) : Infinity,
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
  if (state === 'recovered') return 'it awaits its return'
  if (state !== 'up' && state !== 'down') return `it is ${state}`
  if (braked) return 'the brake holds it'
  if (lastResort) return 'no member of its service is usable'
  if (ramping) return 'it ramps up'
  if (judgement.held) return 'its votes do not decide'
  if (judgement.former) return 'its former check decides'
  return judgement.moving ? 'a prober sees it change' : ''
}

function whyOf(now: ConditionInputs, state: MemberState, braked: boolean): string {
  const { spec, judgement, override } = now
  const { why } = judgement
  if (override?.action === 'up' || override?.action === 'down') return `${describeOverride(override)}; ${why}`
  if (braked)
    return `DOWN, but the brake keeps it in the answers: less than \`keep\` of ${spec.service} would be left; ${why}`
  if (state === 'up' && override?.action === 'shift') return `${describeOverride(override)}; ${why}`
  if (now.away !== undefined && state === 'recovered') return `${awayInWords(spec, now.away)}; ${why}`
  if (now.away !== undefined && state === 'down') return `${why}; once well, it stays passed over until its return`
  if (state !== 'drained') return why
  return `${override === undefined ? 'drained by its file' : describeOverride(override)}; ${why}`
}

/** How an operator ends it comes last: `why` may be long. */
const awayInWords = ({ site, service }: MemberSpec, why: string): string =>
  `well again, but passed over until meridian return ${site}/${service}: it had failed over (${why})`

function frozenWhy({ verdict, judgement }: ConditionInputs, { entry }: Freeze): string {
  const votes = judgement.verdict === undefined ? 'UNPROVEN' : judgement.verdict.toUpperCase()
  const frozen = `FROZEN ${verdict === undefined ? 'UNPROVEN' : verdict.toUpperCase()} by ${entry.who}`
  return `${frozen}${entry.why === '' ? '' : ` (${entry.why})`}; its verdict is ${votes}: ${judgement.why}`
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

/**
 * The state of a member. `forced`: forced down; a member that is forced up is `up`. `recovered`: up again after its
 * site has failed over, and passed over until it is returned (failback.ts).
 */
export type MemberState = 'unproven' | 'up' | 'down' | 'drained' | 'forced' | 'recovered'

/**
 * What a member counts as for the brake and for the capacity that is left. `action`: actionAt() of its override; `away`:
 * its service has failed over from its site.
 */
export function availabilityOf(
  { drained }: MemberSpec,
  verdict: Verdict | undefined,
  action: OverrideAction | undefined,
  away: boolean,
): Availability {
  if (action === 'up') return 'up'
  if (action === 'drain' || action === 'down' || drained) return 'out'
  return away && verdict === 'up' ? 'recovered' : (verdict ?? 'unknown')
}

/**
 * The state by precedence: force > drain > failover > brake > verdict. A drain only drains what is up; what is down stays down.
 * `action`: actionAt() of its override.
 */
export function stateOf(
  { drained }: MemberSpec,
  verdict: Verdict | undefined,
  action: OverrideAction | undefined,
  braked: boolean,
  away: boolean,
): MemberState {
  if (action === 'up') return 'up'
  if (action === 'down') return 'forced'
  if (verdict === 'down') return braked ? 'up' : 'down'
  if (drained || action === 'drain') return 'drained'
  return away && verdict === 'up' ? 'recovered' : (verdict ?? 'unproven')
}

/** State bits of the HealthTable's words, by state. */
export const STATE_BITS: Readonly<Record<MemberState, HealthState>> = {
  unproven: UNPROVEN,
  up: UP,
  down: DOWN,
  drained: DRAINED,
  forced: FORCED_DOWN,
  recovered: RECOVERED,
}
