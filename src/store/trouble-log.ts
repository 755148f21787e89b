/**
 * The trouble of a Store as log lines: one when it begins, one when it has worked again for a while, and in between at
 * most one a minute, however often it comes and goes or changes its reason. Status shows each change at once.
 */

/** A reason often becomes clearer at the next try, so the first line waits for that. */
const SETTLE_MS = 1_000
/** It works again when there was no trouble for so long. */
const WORKS_MS = 5_000
/** At most one line about trouble in this time. */
const EVERY_MS = 60_000

/** Where the lines go. */
export interface TroubleLines {
  /** It has trouble; `trouble` in words. */
  readonly onTrouble: (trouble: string) => void
  readonly onWorks: () => void
}

/** Turns changes of trouble into few lines. */
export class TroubleLog {
  readonly #lines: TroubleLines
  #trouble: string | undefined
  /** The last line: a trouble, or undefined: it works. */
  #logged: string | undefined
  #loggedMs = -Infinity
  /** The last trouble, and how often trouble began since the last line. */
  #latest = ''
  #begun = 0
  #next: NodeJS.Timeout | undefined
  #works: NodeJS.Timeout | undefined

  constructor(lines: TroubleLines) {
    this.#lines = lines
  }

  /** Trouble has begun, changed, or ended (undefined). */
  note(trouble: string | undefined): void {
    const hadTrouble = this.#trouble !== undefined
    this.#trouble = trouble
    clearTimeout(this.#works)
    if (trouble === undefined) {
      this.#works = setTimeout(() => this.#logWorks(), WORKS_MS).unref()
      return
    }
    if (!hadTrouble) this.#begun++
    this.#latest = trouble
    const waitMs = Math.max(SETTLE_MS, this.#loggedMs + EVERY_MS - performance.now())
    this.#next ??= setTimeout(() => this.#logTrouble(), waitMs).unref()
  }

  #logTrouble(): void {
    this.#next = undefined
    const times = this.#begun
    this.#begun = 0
    if (times === 0 && this.#latest === this.#logged) return
    this.#logged = this.#latest
    this.#loggedMs = performance.now()
    this.#lines.onTrouble(times > 1 ? `${this.#latest} (it came and went ${times} times)` : this.#latest)
  }

  #logWorks(): void {
    if (this.#logged === undefined) return
    clearTimeout(this.#next)
    this.#next = this.#logged = undefined
    this.#begun = 0
    this.#lines.onWorks()
  }
}
