/**
 * Dissent: a verdict stands only for lack of votes, while all votes that there are say otherwise. Nobody may take such
 * a member for a healthy one, so status and log say what holds it, and what to do. Pure.
 */
import { someOf } from '../units.ts'
import type { Verdict } from './vote.ts'

/** What all votes on a target say, though they are too few for a verdict. */
export interface Dissent {
  readonly says: Verdict
  /** What is missing, in words: `1 of 2 needed`, `in 1 of 2 regions`. */
  readonly lack: string
}

/** A Dissent as status shows it. */
export interface DissentStatus extends Dissent {
  /** Time since it began. */
  readonly ageMs: number
}

/** A member of a site, and the dissent on it. */
export interface SiteDissent {
  readonly service: string
  readonly dissent: Dissent | undefined
}

/**
 * The dissents at a site in words, a line for each verdict that stands. `members`: all of the site; `silent`: names of
 * silent probers; `isCutOff`: from the Store, so that no votes come.
 */
export function dissentInWords(
  site: string,
  members: readonly SiteDissent[],
  silent: readonly string[],
  isCutOff: boolean,
): string[] {
  return (['down', 'up'] as const).flatMap((says) => {
    const held = members.filter(({ dissent }) => dissent?.says === says)
    if (held.length === 0) return []
    const services = [...new Set(held.map(({ service }) => service))]
    const pattern = held.length === members.length ? site : `${site}/${services[0]}`
    const lacks = [...new Set(held.map(({ dissent }) => dissent!.lack))].join('; ')
    return [
      `${site} is HELD ${says === 'down' ? 'UP' : 'DOWN'}: all votes that there are say ${says.toUpperCase()} (${lacks}), of ` +
        `${someOf(services, 5)}. ${remedyInWords(silent, pattern, says, isCutOff)}`,
    ]
  })
}

/** What to do about dissent. `silent`: names of silent probers; without the Store everyone is, and it is the cause. */
export function remedyInWords(silent: readonly string[], pattern: string, says: Verdict, isCutOff: boolean): string {
  const cause = isCutOff
    ? 'Mend Redis: no votes come without it'
    : silent.length === 0
      ? 'See in `meridian status --hurt` why the other probers do not vote'
      : `Bring back the silent ${silent.length === 1 ? 'prober' : 'probers'} ${someOf(silent, 5)}`
  return `${cause}, or decide by hand: meridian force ${pattern} ${says}`
}

/** The sites at which there is dissent, to report its begin and its end once. */
export class Dissents {
  /** Names of members with dissent, by site. */
  readonly #members = new Map<string, Set<string>>()
  #reported: ReadonlySet<string> = new Set()

  /** Notes whether there is dissent on a member. */
  note(site: string, member: string, isHeld: boolean): void {
    const there = this.#members.get(site)
    if (isHeld) {
      if (there === undefined) this.#members.set(site, new Set([member]))
      else there.add(member)
    } else if (there?.delete(member) === true && there.size === 0) this.#members.delete(site)
  }

  /** Sites at which dissent has begun, or is over, since the last call. */
  changes(): { readonly begun: readonly string[]; readonly over: readonly string[] } {
    const before = this.#reported
    if (this.#members.size === 0 && before.size === 0) return { begun: [], over: [] }
    const now = new Set(this.#members.keys())
    this.#reported = now
    return { begun: [...now].filter((site) => !before.has(site)), over: [...before].filter((site) => !now.has(site)) }
  }
}
