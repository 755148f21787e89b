/**
 * What became of overrides, told once each: that one began, changed, ended, or has arrived where it was to move its share;
 * with the members that it takes out or gives back. Called by NodeHealth whenever overrides or time may have changed one.
 */
import {
  EVERYTHING,
  effectiveOverride,
  isControlPattern,
  isInForce,
  matches,
  type MemberKey,
  type Override,
  type OverrideSet,
} from './override.ts'

/** A member, by its name and the parts of it. */
type NamedMember = MemberKey & { readonly name: string }

/** The override of a pattern began, changed, ended, or has arrived. */
export interface OverrideChange {
  readonly pattern: string
  /** In force before, and now; undefined: none. The same where it has arrived. */
  readonly before: Override | undefined
  readonly now: Override | undefined
  /** Who undid it; undefined: its time is over. */
  readonly undone: Override | undefined
  /** Its share has moved in steps, and is where it was to go. */
  readonly arrived: boolean
  /** Number of members that the pattern matches. */
  readonly members: number
  /**
   * Those of them that it takes out or gives back, in part or whole: none that a more specific override keeps as they were.
   * Empty for a freeze, which keeps all as they were.
   */
  readonly moved: readonly NamedMember[]
}

/** It stays the same one with another version (nodes set it at once), or another age (the Store knows better). */
const KNOWN_BY = ['action', 'who', 'why', 'madeMs'] as const

/** Overrides of one node as they were told last. */
export class OverrideChanges {
  /** In force, by pattern, and when that was. */
  readonly #inForce = new Map<string, Override>()
  #toldMs = -Infinity
  /** Patterns of those that have arrived. */
  readonly #arrived = new Set<string>()

  /** What has become of the overrides of these patterns since the last call. `nowMs`: of the monotonic clock. */
  take(
    patterns: readonly string[],
    all: OverrideSet,
    specs: readonly NamedMember[],
    nowMs: number,
  ): readonly OverrideChange[] {
    const earlier = { overrides: new Map(this.#inForce), atMs: this.#toldMs }
    this.#toldMs = nowMs
    return patterns.flatMap((pattern) => {
      const entry = all.get(pattern)
      const before = earlier.overrides.get(pattern)
      const now = entry !== undefined && isInForce(entry, nowMs) ? entry : undefined
      if (now === undefined) this.#inForce.delete(pattern)
      else this.#inForce.set(pattern, now)
      const isKnown = KNOWN_BY.every((key) => before?.[key] === now?.[key])
      const hasArrived = now !== undefined && isThere(now, nowMs)
      const arrived = isKnown && hasArrived && !this.#arrived.has(pattern)
      if (hasArrived) this.#arrived.add(pattern)
      else this.#arrived.delete(pattern)
      if (isKnown && !arrived) return []
      const undone = entry?.action === 'undone' ? entry : undefined
      const matched = specs.filter((spec) => matches(pattern, spec))
      const moved = matched.filter((spec) => {
        if (isControlPattern(pattern)) return pattern !== EVERYTHING
        const decides = effectiveOverride(all, spec, nowMs)
        if (arrived) return decides === now
        return effectOf(decides) !== effectOf(effectiveOverride(earlier.overrides, spec, earlier.atMs))
      })
      return { pattern, before, now, undone, arrived, members: matched.length, moved }
    })
  }
}

/** Whether an override has moved its share in steps, and is where it was to go. */
const isThere = ({ shift, setMs }: Override, nowMs: number): boolean =>
  shift !== undefined && shift.overMs > 0 && nowMs - setMs >= shift.overMs

/** What an override does to a member, so that two which do the same are equal; undefined: there is none. */
function effectOf(entry: Override | undefined): string | undefined {
  if (entry?.shift !== undefined) return `to ${entry.shift.to}`
  return entry?.action === 'drain' || entry?.action === 'down' ? 'to 0' : entry?.action
}
