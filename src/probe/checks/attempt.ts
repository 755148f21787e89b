/**
 * One attempt to check a target, whatever its kind: it ends once, within its timeout, and then closes what it opened. A
 * kind of check starts it, reports what it observes, and returns how to close.
 */
import type { Target } from '../../health/target.ts'
import { messageOf } from '../../problem.ts'
import { formatDuration } from '../../units.ts'
import type { CheckModel } from '../../zone/model.ts'
import { type Certificate, type Observation, observeError } from './observation.ts'

/** A target with a check of this kind. */
export type TargetOf<T extends CheckModel['type']> = Pick<Target, 'address' | 'port'> & {
  readonly check: Extract<CheckModel, { type: T }>
}

/** How a kind of check reports its result. Only the first call of pass, fail, unable and error counts. */
export interface Attempt {
  /** What has not arrived yet, for the timeout's reason: `no connection`. */
  missing: string
  /** The site's certificate, as far as the check has seen it. */
  certificate: Certificate | undefined
  /** Why a timeout is this host's fault and not the site's; undefined: it is not. */
  hostFault: () => string | undefined
  /** `share`: share of its traffic that the target asks for, in ‰ (0–1000). */
  readonly pass: (reason: string, share?: number) => void
  readonly fail: (reason: string) => void
  /** The site said nothing of its health: the check has run, and nothing changes. */
  readonly silence: (reason: string) => void
  /** This host could not run the check. */
  readonly unable: (reason: string) => void
  readonly error: (error: Error) => void
  /**
   * Makes a counter to call for each piece of an answer (read, chunk, packet or frame). Beyond PIECES_MOST the check
   * fails, and it gives false.
   */
  readonly count: () => () => boolean
}

/** Most pieces of an answer: 64 KiB in pieces of 32 bytes; no honest site sends smaller ones. Each costs some 10 µs. */
export const PIECES_MOST = 2048

/**
 * Runs an attempt. Never rejects. An exception of `begin` is this host's fault; the function that it returns closes
 * everything.
 */
export function attempt(
  timeoutMs: number,
  missing: string,
  begin: (attempt: Attempt) => () => void,
): Promise<Observation> {
  return new Promise((resolve) => {
    const startMs = performance.now()
    let ended = false
    let close: (() => void) | undefined
    const end = (observation: Omit<Observation, 'rttMs'>) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      close?.()
      const { certificate } = self
      resolve({ ...observation, rttMs: performance.now() - startMs, ...(certificate !== undefined && { certificate }) })
    }
    const self: Attempt = {
      missing,
      certificate: undefined,
      hostFault: () => undefined,
      pass: (reason, share) => end({ kind: 'pass', reason, ...(share !== undefined && { share }) }),
      fail: (reason) => end({ kind: 'fail', reason }),
      unable: (reason) => end({ kind: 'unable', reason }),
      silence: (reason) => end({ kind: 'silence', reason }),
      error: (error) => end(observeError(error, self.missing === missing ? undefined : self.missing)),
      count: () => {
        let pieces = 0
        return () => {
          if (++pieces <= PIECES_MOST) return true
          end({ kind: 'fail', reason: `more than ${PIECES_MOST} pieces and no end` })
          return false
        }
      },
    }
    const timeOut = () => {
      const fault = self.hostFault()
      if (fault !== undefined) self.unable(fault)
      else end({ kind: 'timeout', reason: `${self.missing} in ${formatDuration(timeoutMs)}` })
    }
    // timers run before I/O: after a stall, what has come in time is still to be read
    const timer = setTimeout(() => setImmediate(timeOut), timeoutMs)
    try {
      close = begin(self)
      if (ended) close()
    } catch (error) {
      self.unable(`the check can't be made: ${messageOf(error)}`)
    }
  })
}

const SAID_CHARACTERS = 200

/** What a target said, fit for a line of a log or a page: its first 200 characters, the unprintable ones as blanks. */
export const printable = (text: string): string =>
  text
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .trim()
    .slice(0, SAID_CHARACTERS)
    .toWellFormed()
