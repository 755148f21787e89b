/**
 * What-ifs of `explain` and `plan`: a copy of the HealthTable as it would be if some members were down or drained. The
 * rules are those of a node: force wins over drain, drain over the brake, and the brake keeps up what `keep` says.
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
  RECOVERED,
  shareOf,
  stateOf as stateIn,
  UP,
} from '../health/table.ts'
import type { MemberSpec, ServiceSpec } from '../health/target.ts'
import type { Verdict } from '../health/vote.ts'
import type { SteeredService } from '../policy/service.ts'
import type { ExplainContext } from '../world/build.ts'
import type { ExplainQuestion } from './question.ts'

/** Gives what a node knows about a service beyond the HealthTable; undefined: there is no node. */
export type HealthOf = (service: string) => ServiceView | undefined

/** For explanations without a node. */
export const NO_HEALTH: HealthOf = () => undefined

/** A node's view of a service. */
export interface ServiceView {
  readonly health: ServiceHealth
  readonly members: readonly MemberStatus[]
}

/** What is assumed about a member. `braked`: it is assumed down, but the brake keeps it in answers. */
export type Assumption = 'down' | 'drained' | 'braked'

/** An Assumption in words. */
export const assumptionInWords = (assumed: Assumption): string =>
  assumed === 'braked' ? 'taken for down: the BRAKE keeps it' : `taken for ${assumed}`

/** A HealthTable under assumptions. */
export interface Assumptions {
  readonly health: HealthTable
  /** By member: the assumption, for members whose word differs from the live table. */
  readonly of: ReadonlyMap<string, Assumption>
}

/**
 * The HealthTable if the members that match the patterns were down, or drained. A string says which pattern is wrong.
 */
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
    write(serviceOf.get(name)!, specOf.get(name)!, supposed, healthOf(name), health, of)
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

/** Writes the words of one service's members, as health/members.ts would. */
function write(
  service: SteeredService,
  serviceSpec: ServiceSpec,
  members: readonly MemberAssumption[],
  seen: ServiceView | undefined,
  health: HealthTable,
  of: Map<string, Assumption>,
): void {
  const slots = new Map(service.members.map((member, vip) => [member, service.slot[vip]!]))
  const statusOf = new Map(seen?.members.map((status) => [status.member, status]))
  const failedOver = new Set(seen?.health.failedOver.map(({ site }) => site))
  const views = members.map(({ spec, down, drained }) => {
    const slot = slots.get(spec.name)!
    const word = health[slot]!
    const status = statusOf.get(spec.name)
    const verdict = down ? 'down' : status === undefined ? verdictIn(word) : verdictOf(status)
    const away = failedOver.has(spec.site)
    const supposed = { ...spec, drained: spec.drained || drained }
    const override = status?.override
    const action = override?.shift?.now === 0 ? 'drain' : override?.action
    const allowed = override?.shift?.now ?? 1000 // of any other override all or nothing counts, as `action` says
    const availability = stateIn(word) === FORCED_DOWN ? 'out' : availabilityOf(supposed, verdict, action, away)
    return { spec: supposed, site: spec.site, slot, word, verdict, action, availability, allowed, away, down }
  })
  const { sites, lapsed } = brake(views, serviceSpec)
  for (const { spec, site, slot, word, verdict, action, allowed, away, down } of views) {
    if (stateIn(word) === FORCED_DOWN) continue
    const isFree = (action === undefined || action === 'shift') && !spec.drained
    const braked = sites.has(site) && verdict === 'down' && isFree
    const state = STATE_BITS[stateOf(spec, verdict, action, braked, away && !lapsed.has(site))]
    if (state === stateIn(word) && !(braked && down)) continue
    const share = state !== UP ? 1000 : stateIn(word) === UP ? shareOf(word) : allowed
    health[slot] = healthWord(state, share, false)
    if (braked) of.set(spec.name, 'braked')
    else if (state === DOWN) of.set(spec.name, 'down')
    else if (state === DRAINED) of.set(spec.name, 'drained')
  }
}

/** What a member counts as: a freeze may keep it against its verdict. */
function verdictOf({ verdict, frozen }: MemberStatus): Verdict | undefined {
  if (!frozen) return verdict
  return verdict === 'down' ? 'up' : 'down'
}

/** The verdict of a member of which only the health word is known. A drained member counts as up. */
function verdictIn(word: number): Verdict | undefined {
  const state = stateIn(word)
  return state === UP || state === DRAINED || state === RECOVERED ? 'up' : state === DOWN ? 'down' : undefined
}
