/**
 * A freeze: the automation stands still. Verdicts go on being judged and shown, but no answer changes by them on any
 * node; forces, drains and returns still act. The operator's node writes down which members count as down, and every
 * node goes by that list: also one that saw a verdict change just before it heard of the freeze, one that restarts, and
 * one that is new. All other members count as up; one that was never seen up stays unproven until it is.
 *
 * A service whose members that count as up are all DOWN by verdict, of a type of address, while others are up goes by
 * its verdicts (`yields`): a freeze keeps answers as they are, but not to leave them without a site that works. Pure.
 */
import { type MemberKey, type Override, type OverrideAction, patternsOf } from './override.ts'
import { type AddressType, addressTypeOf, type MemberSpec } from './target.ts'
import type { Verdict } from './vote.ts'

/** The longest freeze: one that is forgotten hides the next outage. */
export const LONGEST_FREEZE_MS = 24 * 3_600_000
/** The most characters of a list of members: what Redis takes of an entry, with room for the rest of it. */
const MOST_LIST = 60_000

/** A freeze in force. */
export interface Freeze {
  readonly entry: Override
  readonly down: ReadonlySet<string>
}

/** The freeze of an entry of that action. */
export const freezeOf = (entry: Override): Freeze => ({ entry, down: new Set(entry.down) })

/** What a member counts as under a freeze. `verdict`: its own; undefined: never seen up. */
export function frozenVerdict({ down }: Freeze, member: MemberKey, verdict: Verdict | undefined): Verdict | undefined {
  if (patternsOf(member).some((pattern) => down.has(pattern))) return 'down'
  return verdict === undefined ? undefined : 'up'
}

const TYPES: readonly AddressType[] = ['A', 'AAAA']

/** A member as yields() needs it. */
export interface FreezableMember {
  readonly spec: MemberSpec
  /** By its votes. */
  readonly verdict: Verdict | undefined
  /** What its override does. */
  readonly action: OverrideAction | undefined
}

/** Whether a service goes by its verdicts in spite of the freeze. */
export function yields(freeze: Freeze, members: readonly FreezableMember[]): boolean {
  return TYPES.some((type) => {
    const ofType = members.filter(({ spec }) => addressTypeOf(spec) === type)
    if (ofType.some(({ action }) => action === 'up')) return false
    const free = ofType.filter(({ spec, action }) => !spec.drained && (action === undefined || action === 'shift'))
    const named = free.filter(({ spec, verdict }) => frozenVerdict(freeze, spec, verdict) === 'up')
    return named.every(({ verdict }) => verdict === 'down') && free.some(({ verdict }) => verdict === 'up')
  })
}

/**
 * The list of members that count as down: sites and services at sites where all are. A string says why there is none.
 */
export function downList(members: readonly MemberSpec[], isDown: (member: MemberSpec) => boolean): readonly string[] {
  const list: string[] = []
  for (const [site, there] of Map.groupBy(members, (member) => member.site)) {
    if (there.every(isDown)) {
      list.push(site)
      continue
    }
    for (const [service, vips] of Map.groupBy(there, (member) => member.service)) {
      if (vips.every(isDown)) list.push(`${site}/${service}`)
      else list.push(...vips.filter(isDown).map(({ name }) => name))
    }
  }
  return list.toSorted()
}

/** Whether a list is too long for one entry. */
export const isTooLong = (list: readonly string[]): boolean => JSON.stringify(list).length > MOST_LIST
