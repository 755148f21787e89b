/** What may be posted: bodies of the API's POST routes, checked before anything of the node sees them. */
import { z } from 'zod'
import { type OverrideRequest, durationRefusal } from '../health/override.ts'
import { parseDurationMs } from '../units.ts'

/** The largest body that is read; more than any of them needs. */
export const BODY_BYTES = 4096

/** `undrain` and `off` undo what stands for the pattern: a drain, or a force. */
export const REQUESTED_ACTIONS = ['drain', 'undrain', 'up', 'down', 'off'] as const
export type RequestedAction = (typeof REQUESTED_ACTIONS)[number]

/** An override as it is asked for. */
export interface OverrideBody extends Omit<OverrideRequest, 'action'> {
  readonly action: RequestedAction
}

export interface ForgetBody {
  readonly prober: string
  readonly who: string
}

/** Of databases that are held back. */
export interface AcceptBody {
  readonly who: string
  /** The build that was looked at; undefined = whichever waits. */
  readonly build: string | undefined
}

/** Texts end up in logs and on terminals: no control characters. */
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
    'is no duration like 30m, 2h or 1d, 1s to 365d',
  )

const OVERRIDE = z.strictObject({
  pattern: text(1, 255),
  action: z.enum(REQUESTED_ACTIONS, `is none of ${REQUESTED_ACTIONS.join(', ')}`),
  for: DURATION.nullish(),
  who: text(1, 100),
  why: text(0, 300).default(''),
  yes: z.boolean().default(false),
})

const FORGET = z.strictObject({ prober: text(1, 63), who: text(1, 100) })

/** A string says what is wrong with it. */
export function readOverrideBody(body: unknown): OverrideBody | string {
  const read = OVERRIDE.safeParse(body)
  if (!read.success) return faults(read.error)
  const { for: forMs, ...rest } = read.data
  const undoes = rest.action === 'undrain' || rest.action === 'off'
  if (rest.why === '' && !undoes) return 'why: must say why, for those who find it at night'
  if (undoes && typeof forMs === 'number') return `for: ${rest.action} undoes at once`
  return { ...rest, forMs: forMs ?? undefined }
}

const ACCEPT = z.strictObject({ who: text(1, 100), build: text(1, 1000).optional() })

/** A string says what is wrong with it. */
export function readAcceptBody(body: unknown): AcceptBody | string {
  const read = ACCEPT.safeParse(body)
  return read.success ? { who: read.data.who, build: read.data.build } : faults(read.error)
}

/** A string says what is wrong with it. */
export function readForgetBody(body: unknown): ForgetBody | string {
  const read = FORGET.safeParse(body)
  return read.success ? read.data : faults(read.error)
}

const faults = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ')
