/**
 * What-ifs of `explain` and `plan`: a copy of the HealthTable as it would be if members were down, or drained. What follows from that
 * follows as it does in a node: force stands above drain, drain above brake, and the brake holds what `keep` says.
 */
import type { World } from '../answer/world.ts'
import { brake } from '../health/brake.ts'
import { availabilityOf, STATE_BITS, stateOf } from '../health/member-state.ts'
import type { MemberStatus, ServiceHealth } from '../health/node-health.ts'
import { canonicalPattern, matches } from '../health/override.ts'
import {
  DOWN,
  DRAINED,
  FORCED_DOWN,
  healthWord,
  type HealthTable,
  shareOf,
  stateOf as stateIn,
  UP,
} from '../health/table.ts'
import type { MemberSpec, ServiceSpec } from '../health/target.ts'
import type { Verdict } from '../health/vote.ts'
import type { SteeredService } from '../policy/service.ts'
import type { ExplainContext } from '../world/build.ts'
import type { ExplainQuestion } from './question.ts'

/** What a node knows of a service beyond the table; undefined: there is no node. */
export type HealthOf = (service: string) => ServiceView | undefined

export const NO_HEALTH: HealthOf = () => undefined

export interface ServiceView {
  readonly health: ServiceHealth
  readonly members: readonly MemberStatus[]
}

export type Assumption = 'down' | 'drained' | 'braked'

export const assumptionInWords = (assumed: Assumption): string =>
  assumed === 'braked' ? 'taken for down: the BRAKE keeps it' : `taken for ${assumed}`

export interface Assumptions {
  readonly health: HealthTable
  /** By member: those whose word is not the live one. `braked`: taken for down, and the brake keeps it in the answers. */
  readonly of: ReadonlyMap<string, Assumption>
}

/** A string says which of the patterns matches nothing. */
export function assume(
  world: World,
  live: HealthTable,
  context: ExplainContext,
  { down, drain = [] }: Pick<ExplainQuestion, 'down' | 'drain'>,
  healthOf: HealthOf = NO_HEALTH,
): Assumptions | string {
  const of = new Map<string, Assumption>()
  if (down.length === 0 && drain.length === 0) return { health: live, of }
  const { members } = context.plan
  for (const pattern of [...down, ...drain]) {
    const fault = faultOf(pattern, members, context)
    if (fault !== undefined) return fault
  }
  const health = live.slice()
  const services = new Set(members.filter((member) => hits([...down, ...drain], member)).map(({ service }) => service))
  const serviceOf = new Map(world.services.map((service) => [service.name, service]))
  const specOf = new Map(context.plan.services.map((spec) => [spec.name, spec]))
  for (const [name, own] of Map.groupBy(members, ({ service }) => service)) {
    if (!services.has(name)) continue
    const supposed = own.map((spec) => ({ spec, down: hits(down, spec), drained: hits(drain, spec) }))
    write(serviceOf.get(name)!, specOf.get(name)!, supposed, healthOf(name)?.members ?? [], health, of)
  }
  return { health, of }
}

const hits = (patterns: readonly string[], member: MemberSpec): boolean =>
  patterns.some((pattern) => matches(canonicalPattern(pattern)!, member))

function faultOf(pattern: string, members: readonly MemberSpec[], { sites }: ExplainContext): string | undefined {
  const canonical = canonicalPattern(pattern)
  if (canonical === undefined) return `“${pattern}” is no SITE, SITE/SERVICE or SITE/SERVICE/VIP`
  if (members.some((member) => matches(canonical, member))) return undefined
  const [site = '', service] = canonical.split('/')
  const known = [...sites.keys()]
  if (!sites.has(site)) return `no such site: ${site}; sites: ${known.join(', ')}`
  if (service === undefined) return undefined // a site of no service: nothing changes
  const there = [...new Set(members.filter((member) => member.site === site).map((member) => member.service))]
  return `${pattern} matches no member; services at ${site}: ${there.join(', ')}`
}

interface MemberAssumption {
  readonly spec: MemberSpec
  readonly down: boolean
  readonly drained: boolean
}

/** Writes the words of one service, as health/members.ts would. */
function write(
  service: SteeredService,
  serviceSpec: ServiceSpec,
  members: readonly MemberAssumption[],
  statuses: readonly MemberStatus[],
  health: HealthTable,
  of: Map<string, Assumption>,
): void {
  const slots = new Map(service.members.map((member, vip) => [member, service.slot[vip]!]))
  const statusOf = new Map(statuses.map((status) => [status.member, status]))
  const views = members.map(({ spec, down, drained }) => {
    const slot = slots.get(spec.name)!
    const word = health[slot]!
    const status = statusOf.get(spec.name)
    const verdict = down ? 'down' : status === undefined ? verdictIn(word) : status.verdict
    const supposed = { ...spec, drained: spec.drained || drained }
    const availability = stateIn(word) === FORCED_DOWN ? 'out' : availabilityOf(supposed, verdict, status?.override)
    return { spec: supposed, site: spec.site, slot, word, verdict, override: status?.override, availability, down }
  })
  const { sites } = brake(views, serviceSpec)
  for (const { spec, site, slot, word, verdict, override, down } of views) {
    if (stateIn(word) === FORCED_DOWN) continue
    const braked = sites.has(site) && verdict === 'down' && override === undefined && !spec.drained
    const state = STATE_BITS[stateOf(spec, verdict, override, braked)]
    if (state === stateIn(word) && !(braked && down)) continue
    health[slot] = healthWord(state, state === UP ? shareOf(word) : 1000, false)
    if (braked) of.set(spec.name, 'braked')
    else if (state === DOWN) of.set(spec.name, 'down')
    else if (state === DRAINED) of.set(spec.name, 'drained')
  }
}

/** Of a word that nobody tells more of: a drain only drains what is up. */
function verdictIn(word: number): Verdict | undefined {
  const state = stateIn(word)
  return state === UP || state === DRAINED ? 'up' : state === DOWN ? 'down' : undefined
}
