/**
 * The bodies of the API's POST routes: their form, and the checks before the node sees them. Called by app.ts. A
 * function that reads a body returns a string if it is wrong: what is wrong, in words. Texts have no control
 * characters, because they end up in logs and on terminals.
 */
import { z } from 'zod'
import { type OverrideRequest, durationRefusal } from '../health/override.ts'
import type { ProcessName } from '../health/store.ts'
import { parseDurationMs } from '../units.ts'

/** The most bytes of a body that are read; no valid body is as large. */
export const BODY_BYTES = 4096

/** The actions of an override request. `undrain` undoes a drain of the pattern, `off` undoes a force. */
export const REQUESTED_ACTIONS = ['drain', 'undrain', 'up', 'down', 'off'] as const
/** One of REQUESTED_ACTIONS. */
export type RequestedAction = (typeof REQUESTED_ACTIONS)[number]

/** The body of POST /api/overrides. */
export interface OverrideBody extends Omit<OverrideRequest, 'action'> {
  readonly action: RequestedAction
}

/** The body of POST /api/forget. */
export interface ForgetBody extends ProcessName {
  readonly who: string
}

/** The body of POST /api/geo/accept and /api/zones/accept. */
export interface AcceptBody {
  readonly who: string
  /** What the operator looked at: the build of the databases, or the hash of the zones. undefined = any that is held back. */
  readonly build: string | undefined
}

/** A text of so many characters, without control characters. */
const text = (least: number, most: number) =>
  z
    .string()
    .trim()
    .min(least, least === 1 ? 'must not be empty' : undefined)
    .max(most, `has more than ${most} characters`)
    .regex(/^\P{C}*$/u, 'has control characters')

const DURATION = z
  .string()
  .transform((written) => parseDurationMs(written))
  .refine(
    (ms) => ms !== undefined && durationRefusal(ms) === undefined,
    'is not a duration like 30m, 2h or 1d, from 1s to 365d',
  )

const OVERRIDE = z.strictObject({
  pattern: text(1, 255),
  action: z.enum(REQUESTED_ACTIONS, `is not one of ${REQUESTED_ACTIONS.join(', ')}`),
  for: DURATION.nullish(),
  who: text(1, 100),
  why: text(0, 300).default(''),
  yes: z.boolean().default(false),
})

const FORGET = z.strictObject({ prober: text(1, 63).optional(), node: text(1, 63).optional(), who: text(1, 100) })

/** Reads the body of POST /api/overrides; a string says what is wrong with it. */
export function readOverrideBody(body: unknown): OverrideBody | string {
  const read = OVERRIDE.safeParse(body)
  if (!read.success) return faults(read.error)
  const { for: forMs, ...rest } = read.data
  const undoes = rest.action === 'undrain' || rest.action === 'off'
  if (rest.why === '' && !undoes) return 'why: must give a reason, for whoever is on call later'
  if (undoes && typeof forMs === 'number') return `for: ${rest.action} takes no duration`
  return { ...rest, forMs: forMs ?? undefined }
}

const ACCEPT = z.strictObject({ who: text(1, 100), build: text(1, 1000).optional() })

/** Reads the body of POST /api/geo/accept and /api/zones/accept; a string says what is wrong with it. */
export function readAcceptBody(body: unknown): AcceptBody | string {
  const read = ACCEPT.safeParse(body)
  return read.success ? { who: read.data.who, build: read.data.build } : faults(read.error)
}

/** Reads the body of POST /api/forget; a string says what is wrong with it. */
export function readForgetBody(body: unknown): ForgetBody | string {
  const read = FORGET.safeParse(body)
  if (!read.success) return faults(read.error)
  const { prober, node, who } = read.data
  if (prober !== undefined && node === undefined) return { kind: 'prober', name: prober, who }
  if (node !== undefined && prober === undefined) return { kind: 'node', name: node, who }
  return 'must name one of prober and node'
}

const faults = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ')
