/**
 * The bodies of the API's POST routes: their form, and the checks before the node sees them. Called by app.ts. A
 * function that reads a body returns a string if it is wrong: what is wrong, in words. Texts have no control
 * characters, because they end up in logs and on terminals.
 */
import { z } from 'zod'
import { type OverrideRequest, durationRefusal } from '../health/override.ts'
import type { ProcessName } from '../health/store.ts'
import { parseDurationMs, parsePercent } from '../units.ts'

/** The most bytes of a body that are read; no valid body is as large. */
export const BODY_BYTES = 4096
/** The most overrides of one order. */
const MOST_OVERRIDES = 50
/** The same of POST /api/overrides, which takes a list. */
export const ORDER_BYTES = MOST_OVERRIDES * BODY_BYTES

/** The actions of an override request. `undrain` undoes a drain of the pattern, `off` undoes a force. */
export const REQUESTED_ACTIONS = ['drain', 'undrain', 'up', 'down', 'off'] as const
/** One of REQUESTED_ACTIONS. */
export type RequestedAction = (typeof REQUESTED_ACTIONS)[number]

/** The body of POST /api/overrides. */
export interface OverrideBody extends Omit<OverrideRequest, 'action' | 'shift'> {
  readonly action: RequestedAction
  /** Of a drain: the share that it leaves, in ‰, below 1000; undefined = nothing. */
  readonly to?: number | undefined
  /** Of drain and undrain: the share moves there in steps over this time; undefined = at once. */
  readonly overMs?: number | undefined
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
    (ms) => ms !== undefined && durationRefusal({ action: 'drain', forMs: ms }) === undefined,
    'is not a duration like 30m, 2h or 1d, from 1s to 365d',
  )

/** `30%` → ‰. */
const SHARE = z
  .string()
  .transform((written) => readShare(written))
  .refine((share) => share !== undefined, 'is not a percentage like 30%, below 100%')

/** `30%`, `12.5%` → ‰; undefined: it is none, or not below 100 %. */
export function readShare(written: string): number | undefined {
  const share = Math.round(1000 * (parsePercent(written) ?? 1))
  return share < 1000 ? share : undefined
}

const OVERRIDE = z.strictObject({
  pattern: text(1, 255),
  action: z.enum(REQUESTED_ACTIONS, `is not one of ${REQUESTED_ACTIONS.join(', ')}`),
  to: SHARE.nullish(),
  over: DURATION.nullish(),
  for: DURATION.nullish(),
  who: text(1, 100),
  why: text(0, 300).default(''),
  yes: z.boolean().default(false),
})

const FORGET = z.strictObject({ prober: text(1, 63).optional(), node: text(1, 63).optional(), who: text(1, 100) })

const OVERRIDES = z
  .array(OVERRIDE)
  .min(1, 'has no override')
  .max(MOST_OVERRIDES, `has more than ${MOST_OVERRIDES} overrides`)

/** Reads the body of POST /api/overrides, one override or a list of them; a string says what is wrong with it. */
export function readOverrideBody(body: unknown): OverrideBody | readonly OverrideBody[] | string {
  if (!Array.isArray(body)) {
    const read = OVERRIDE.safeParse(body)
    return read.success ? checkedOverride(read.data) : faults(read.error)
  }
  const read = OVERRIDES.safeParse(body)
  if (!read.success) return faults(read.error)
  const bodies: OverrideBody[] = []
  for (const [i, one] of read.data.entries()) {
    const checked = checkedOverride(one)
    if (typeof checked === 'string') return `${i}.${checked}`
    bodies.push(checked)
  }
  return bodies
}

function checkedOverride({ for: lasts, over, to, ...rest }: z.infer<typeof OVERRIDE>): OverrideBody | string {
  const { action, why } = rest
  const [forMs, overMs] = [lasts ?? undefined, over ?? undefined]
  const undoes = action === 'undrain' || action === 'off'
  if (why === '' && !undoes) return 'why: must give a reason, for whoever is on call later'
  if (undoes && forMs !== undefined) return `for: ${action} takes no duration`
  if (typeof to === 'number' && action !== 'drain') return `to: ${action} takes no share, drain does`
  if (overMs !== undefined && action !== 'drain' && action !== 'undrain')
    return `over: ${action} takes effect at once, drain and undrain may take time`
  if (forMs !== undefined && overMs !== undefined && forMs < overMs)
    return 'for: the drain would end before it has come to its share (over)'
  return { ...rest, forMs, to: to ?? undefined, overMs }
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
