/**
 * What an operator tells the automation, beside overrides: to stand still (freeze.ts), and to let a site have its clients
 * again that has failed over (failback.ts). Both are entries of the set of overrides. NodeHealth has one, for the API.
 */
import { formatDuration, someOf } from '../units.ts'
import { downList, isTooLong, LONGEST_FREEZE_MS } from './freeze.ts'
import type { Members } from './members.ts'
import type { Acknowledgement } from './other-nodes.ts'
import { EVERYTHING, type Override, type OverrideRequest, type OverrideView, viewOf } from './override.ts'
import type { Overrides, SaveResult } from './overrides.ts'

/** Who asks, and why. */
type Author = Pick<OverrideRequest, 'who' | 'why'>

/** The freeze in force, for status. */
export interface FreezeStatus extends Pick<OverrideView, 'node' | 'who' | 'why' | 'madeMs' | 'untilMs' | 'leftMs'> {
  /** How many members count as down by it, and how many members go against their verdicts. */
  readonly down: number
  readonly kept: number
  /** Services that go by their verdicts in spite of it. */
  readonly yields: readonly string[]
}

/** A site of a service that has failed over, as `SITE/SERVICE`. */
export interface Awaiting {
  readonly subject: string
  /** Why it has. */
  readonly why: string
}

/** Why not, and what to do instead. */
export interface Refused {
  readonly refused: string
  readonly hint: string
}

/** Where and at which nodes a change is in force. */
export type Reached = SaveResult & Acknowledgement

/** A freeze that was begun, or ended. */
export interface FreezeOutcome {
  readonly entry: Override
  readonly saved: Promise<Reached>
}

/** What a return has returned, and what stays passed over because it is not well. */
export interface ReturnOutcome {
  readonly returned: readonly string[]
  readonly waiting: readonly Awaiting[]
  readonly saved: Promise<Reached>
}

/** What Controls needs of its node. */
export interface ControlsSettings {
  readonly node: string
  readonly overrides: Overrides
  readonly members: Members
  /** Adds to a result which nodes acknowledge it. */
  readonly acknowledged: (saving: Promise<SaveResult>) => Promise<Reached>
}

/** Freezes, and returns. */
export class Controls {
  readonly #settings: ControlsSettings

  constructor(settings: ControlsSettings) {
    this.#settings = settings
  }

  /** The freeze in force; null: there is none. */
  get status(): FreezeStatus | null {
    const { overrides, members } = this.#settings
    if (overrides.freeze === undefined) return null
    const { node, who, why, madeMs, untilMs, leftMs } = viewOf(overrides.freeze.entry)
    return { node, who, why, madeMs, untilMs, leftMs, ...members.frozen }
  }

  /** Freezes: what counts as down now does so until it ends. One that is in force already is replaced, and goes on. */
  freeze({ who, why, forMs }: Author & { readonly forMs: number }): FreezeOutcome | Refused {
    const { members } = this.#settings
    if (forMs > LONGEST_FREEZE_MS) {
      const most = formatDuration(LONGEST_FREEZE_MS)
      return {
        refused: `a freeze lasts for ${most} at most`,
        hint: 'Freeze again when it ends: that goes on from there',
      }
    }
    const down = downList(members.specs, members.isDown)
    if (isTooLong(down)) {
      const hint = 'Force or drain sites instead: that holds against all verdicts'
      return { refused: `${down.length} members are down, more than a freeze can write down`, hint }
    }
    return this.#set({ pattern: EVERYTHING, action: 'freeze', down, forMs, who, why, yes: true })
  }

  unfreeze(author: Author): FreezeOutcome | Refused {
    if (this.#settings.overrides.freeze === undefined)
      return { refused: 'there is no freeze in force', hint: 'meridian status' }
    return this.#set({ pattern: EVERYTHING, action: 'undone', forMs: undefined, ...author, yes: true })
  }

  /**
   * Lets what matches `pattern`, SITE or SITE/SERVICE, have its clients again. What is not well yet is returned by `yes`
   * only: then it has them as soon as it is well.
   */
  return({ pattern, who, why, yes }: Author & Pick<OverrideRequest, 'pattern' | 'yes'>): ReturnOutcome | Refused {
    const { overrides } = this.#settings
    const all = overrides.failovers.map((entry) => ({ entry, subject: entry.pattern.slice(0, -'/*'.length) }))
    const asked = all.filter(({ subject }) => subject === pattern || subject.startsWith(`${pattern}/`))
    if (asked.length === 0) {
      const names = all.map(({ subject }) => subject)
      const hint = names.length === 0 ? 'No site has failed over' : `These await it: ${someOf(names, 8)}`
      return { refused: `nothing of ${pattern} awaits a return`, hint }
    }
    const ill = this.#ill()
    const waiting = yes ? [] : asked.flatMap(({ subject }) => ill.get(subject) ?? [])
    const ready = yes ? asked : asked.filter(({ subject }) => !ill.has(subject))
    if (ready.length === 0) {
      const list = someOf(
        waiting.map((one) => `${one.subject}: ${one.why}`),
        3,
      )
      return { refused: `still not well: ${list}`, hint: 'With --yes it has its clients again as soon as it is well' }
    }
    const requests = ready.map(({ entry }): OverrideRequest => {
      return { pattern: entry.pattern, action: 'undone', forMs: undefined, who, why, yes }
    })
    const { saved } = overrides.set(requests, this.#settings.node)
    return { returned: ready.map(({ subject }) => subject), waiting, saved: this.#settings.acknowledged(saved) }
  }

  /** Those that have failed over and are not well, by `SITE/SERVICE`, with what is wrong with them now. */
  #ill(): ReadonlyMap<string, Awaiting> {
    const services = this.#settings.members.services()
    const ill = services.flatMap(({ service, failedOver }) =>
      failedOver.filter(({ well }) => !well).map(({ site, why }) => ({ subject: `${site}/${service}`, why })),
    )
    return new Map(ill.map((one) => [one.subject, one]))
  }

  #set(request: OverrideRequest): FreezeOutcome {
    const { overrides, node, acknowledged } = this.#settings
    const { done, saved } = overrides.set([request], node)
    return { entry: done[0]!, saved: acknowledged(saved) }
  }
}
