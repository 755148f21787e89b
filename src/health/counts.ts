/**
 * What members count as for their services: by their verdicts, under overrides, a freeze (freeze.ts), and failovers that
 * await a return (failback.ts). members.ts asks when an input has changed, and applies the brake to the result.
 *
 *   judge(member) ─▶ applyFreeze(services) ─▶ update(member) ─▶ brake(service) ─▶ failOver(service)
 */
import type { BrakeDecision } from './brake.ts'
import type { Failback } from './failback.ts'
import { type FreezableMember, type Freeze, frozenVerdict, yields } from './freeze.ts'
import type { MemberHistory } from './judgement.ts'
import type { Member, Service } from './member.ts'
import { availabilityOf, stateOf } from './member-state.ts'
import type { News } from './news.ts'
import { actionAt, shareAt } from './override.ts'

/** What Counts needs of its node. */
export interface CountsSettings {
  readonly failback: Pick<Failback, 'isAway' | 'whyAway' | 'failed' | 'lapsed'>
  /** Called with what happens to a service, in words. */
  readonly onNews: News
}

/** Counts members. */
export class Counts {
  readonly #settings: CountsSettings
  /** The freeze in force; a service that yields to it does not go by it. */
  freeze: Freeze | undefined

  constructor(settings: CountsSettings) {
    this.#settings = settings
  }

  /** Whether the services of the members go by a freeze; returns the members of those for which that has changed. */
  applyFreeze(members: Iterable<Member>): Member[] {
    const { freeze } = this
    const changed: Member[] = []
    for (const service of new Set(Array.from(members, (member) => member.service))) {
      if (freeze === undefined && service.freeze === undefined) continue
      const applies = freeze !== undefined && !yields(freeze, service.members.map(freezable)) ? freeze : undefined
      if (applies === service.freeze) continue
      if (freeze !== undefined && service.freeze === freeze) this.#report(service, YIELDS)
      service.freeze = applies
      changed.push(...service.members)
    }
    return changed
  }

  /** Counts a member anew; whether it counts as something else. */
  update(member: Member, nowMs: number): boolean {
    const { availability, allowed, unbraked, away } = member
    Object.assign(member, this.of(member, nowMs))
    const isAlike = member.availability === availability && member.unbraked === unbraked
    return !isAlike || member.allowed !== allowed || member.away !== away
  }

  /** What a member counts as for its service, under its override, a failover and a freeze. */
  of(
    {
      spec,
      service,
      judgement,
      override,
    }: Pick<Member, 'spec' | 'service' | 'override'> & { judgement: MemberHistory },
    nowMs: number,
  ) {
    const { freeze } = service
    const verdict = freeze === undefined ? judgement.verdict : frozenVerdict(freeze, spec, judgement.verdict)
    const away = spec.manual ? this.#settings.failback.whyAway(spec.site, spec.service) : undefined
    const isAway = away !== undefined
    const action = override && actionAt(override, nowMs)
    const availability = availabilityOf(spec, verdict, action, isAway)
    const isKnown = judgement.decided.size >= spec.targets.length
    return {
      verdict,
      away,
      allowed: override === undefined ? 1000 : shareAt(override, nowMs),
      availability: availability === 'unknown' && isKnown ? 'out' : availability,
      unbraked: stateOf(spec, verdict, action, false, isAway),
    }
  }

  /**
   * Notes which sites with `failback: manual` have died, so that others have their clients, and which have them again
   * because nothing else is left. Returns their members, counted anew.
   */
  failOver(service: Service, now: Pick<BrakeDecision, 'sites' | 'lapsed' | 'left'>, nowMs: number): readonly Member[] {
    const { spec, members, serving } = service
    for (const member of members) if (!member.spec.manual) serving.delete(member.site)
    const manual = members.filter((member) => member.spec.manual)
    if (manual.length === 0) return []
    const { failback } = this.#settings
    const moved: Member[] = []
    for (const [site, there] of Map.groupBy(manual, (member) => member.site)) {
      const well = there.filter(({ availability }) => availability === 'up' || availability === 'recovered').length
      const dead = there.find(({ availability }) => availability === 'down')
      const fails = dead !== undefined && well < spec.minVips && !now.sites.has(site) && now.left > 0
      if (now.lapsed.has(site)) {
        failback.lapsed(site, spec.name, 'too little else of it was usable')
        this.#report(service, `${site} has its clients again, as too little else is usable: its failover is over`)
      }
      if (well >= spec.minVips && !failback.isAway(site, spec.name)) serving.add(site)
      if (fails && serving.delete(site) && failback.failed(site, spec.name, dead.judgement.why)) {
        const command = `meridian return ${site}/${spec.name}`
        this.#report(service, `${site} has failed over: once well, it is passed over until ${command}`)
      } else if (!now.lapsed.has(site)) continue
      for (const member of there) this.update(member, nowMs)
      moved.push(...there)
    }
    return moved
  }

  #report({ spec }: Service, what: string): void {
    this.#settings.onNews('warn', `service ${spec.name}: ${what}`)
  }
}

/** A member as yields() needs it. */
const freezable = ({ spec, judgement, override }: Member): FreezableMember => ({
  spec,
  verdict: judgement.verdict,
  action: override && actionAt(override, performance.now()),
})

const YIELDS = 'all that the freeze would name is DOWN, and others are up: it goes by its verdicts while that is so'
