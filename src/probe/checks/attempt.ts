/**
 * One attempt to check one target, whatever the kind: it ends once, within its timeout, and what it opened is closed then.
 * A kind begins it, tells what it sees, and gives back how to close.
 */
import type { Target } from '../../health/target.ts'
import { messageOf } from '../../problem.ts'
import { formatDuration } from '../../units.ts'
import type { CheckModel } from '../../zone/model.ts'
import { type Observation, observeError } from './observation.ts'

/** What a check of this kind is made with. */
export type TargetOf<T extends CheckModel['type']> = Pick<Target, 'address' | 'port'> & {
  readonly check: Extract<CheckModel, { type: T }>
}

/** Only the first word of pass, fail, unable and error counts. */
export interface Attempt {
  /** What hasn't come yet, as the timeout tells it: `no connection`. */
  missing: string
  /** What shows, if anything, that this host is at fault, so that a timeout is no failure of the site. */
  hostFault: () => string | undefined
  /** `share`: how much of its traffic the target asks for, 0–1000. */
  readonly pass: (reason: string, share?: number) => void
  readonly fail: (reason: string) => void
  /** This host could not ask. */
  readonly unable: (reason: string) => void
  readonly error: (error: Error) => void
  /** A counter, to be called for each piece in which an answer comes: each read, chunk, packet or frame. Beyond PIECES_MOST the check fails. */
  readonly count: () => () => void
}

/** Of 64 KiB, pieces of 32 bytes: no site that means well sends smaller ones. Each costs some 10 µs of this thread. */
export const PIECES_MOST = 2048

/** Never rejects. What `begin` throws is this host's fault; what it returns closes everything, whichever way it ends. */
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
      resolve({ ...observation, rttMs: performance.now() - startMs })
    }
    const self: Attempt = {
      missing,
      hostFault: () => undefined,
      pass: (reason, share) => end({ kind: 'pass', reason, ...(share !== undefined && { share }) }),
      fail: (reason) => end({ kind: 'fail', reason }),
      unable: (reason) => end({ kind: 'unable', reason }),
      error: (error) => end(observeError(error, 0)),
      count: () => {
        let pieces = 0
        return () => {
          if (++pieces > PIECES_MOST) end({ kind: 'fail', reason: `more than ${PIECES_MOST} pieces and no end` })
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
