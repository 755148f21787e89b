/**
 * Outages of sites, as each service sees them, and when their first failed check was told: Members notes each member that
 * it judges. What still names the site meanwhile is counted by api/wrong-answers.ts. Times are of the monotonic clock.
 *
 *   all UP ──a vote moves: firstSignMs──▶ ──all its members are down, or all votes say so──▶ Outage ──one is up──▶ over
 */
import { detectionMs } from '../zone/budget.ts'
import type { Member } from './member.ts'
import type { Target } from './target.ts'

/** An outage of a site: no VIP of a service there is up, whatever is answered. The last one of each is kept. */
export interface Outage {
  readonly service: string
  readonly site: string
  /**
   * When the first failed check was told of the member that was the last to die. It is at most a detection (zone/budget.ts)
   * too early: where a check failed shortly before, and passed again. Before that the site was dead for one interval at most.
   */
  readonly firstSignMs: number
  isOver: boolean
}

/** What is kept of a member. */
interface Sign {
  /** undefined: no vote has moved yet. */
  firstMs: number | undefined
  isOut: boolean
}

/** The outages of the sites of a node. */
export class Outages {
  readonly #signs = new WeakMap<Member, Sign>()
  readonly #all = new Map<string, Outage>()

  /** The last outage of each service at each site that has had one since the start, whether it is over or not. */
  get all(): Iterable<Outage> {
    return this.#all.values()
  }

  /** Notes a member that was judged. `targetOf`: what is known of a target. */
  note(member: Member, targetOf: (id: string) => Target | undefined, nowMs: number): void {
    const { judgement, spec, site, service } = member
    const isOut = judgement.verdict === 'down' || judgement.dissent?.says === 'down'
    const sign = this.#signs.get(member)
    if (sign === undefined) {
      // of a member that is out when it is first seen nobody knows since when
      this.#signs.set(member, { firstMs: undefined, isOut })
      return
    }
    if (!isOut && judgement.moving) {
      const checks = spec.targets.flatMap((id) => targetOf(id)?.check ?? [])
      const longestMs = Math.max(0, ...checks.map(detectionMs))
      if (sign.firstMs === undefined || nowMs - sign.firstMs > longestMs) sign.firstMs = nowMs
    }
    if (sign.isOut === isOut) return
    sign.isOut = isOut
    const key = `${spec.service}\0${site}`
    if (!isOut) {
      sign.firstMs = undefined
      const outage = this.#all.get(key)
      if (outage !== undefined) outage.isOver = true
      return
    }
    const isLast = service.members.every((other) => other.site !== site || this.#signs.get(other)?.isOut === true)
    if (!isLast) return
    this.#all.set(key, { service: spec.service, site, firstSignMs: sign.firstMs ?? nowMs, isOver: false })
  }

  /** Forgets the outages of services and sites that are not in the zones any more. */
  keep(members: Iterable<Member>): void {
    if (this.#all.size === 0) return
    const there = new Set(Array.from(members, ({ spec, site }) => `${spec.service}\0${site}`))
    for (const key of this.#all.keys()) if (!there.has(key)) this.#all.delete(key)
  }
}
