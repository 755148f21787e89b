/**
 * The bodies of the API's POST routes, as zod schemas: what a caller may write, and what the node is given. Texts have no
 * control characters, because they end up in logs and on terminals. Used by routes.ts.
 */
import { z } from 'zod'
import { type OverrideRequest, durationRefusal } from '../health/override.ts'
import type { ProcessName } from '../health/store.ts'
import { parseDurationMs, parsePercent } from '../units.ts'

/** The most overrides of one order. */
const MOST_OVERRIDES = 50
/** The most bytes of the body of POST /api/overrides. */
export const ORDER_BYTES = MOST_OVERRIDES * 4096

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

/** The body of POST /api/freeze. */
export type FreezeBody = { readonly who: string; readonly why: string } & (
  | { readonly action: 'freeze'; readonly forMs: number }
  | { readonly action: 'unfreeze'; readonly forMs?: undefined }
)

/** The body of POST /api/return. */
export interface ReturnBody extends Pick<OverrideRequest, 'who' | 'why' | 'yes'> {
  /** SITE or SITE/SERVICE. */
  readonly pattern: string
}

/** The body of POST /api/drills. */
export interface DrillBody {
  readonly pattern: string
  readonly forMs: number
  /** As written: `left<60%`. */
  readonly abortIf: readonly string[]
  readonly who: string
  readonly why: string
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

/** What is wrong with a value that is no text: most often it is missing. */
const notText = ({ input }: { readonly input?: unknown }): string =>
  input === undefined ? 'is missing' : 'is not a text'

/** A text of so many characters, without control characters. */
export const text = (least: number, most: number) =>
  z
    .string({ error: notText })
    .trim()
    .min(least, least === 1 ? 'must not be empty' : undefined)
    .max(most, `has more than ${most} characters`)
    .regex(/^\P{C}*$/u, 'has control characters')

/** Who requests something. Only the node writes a token's name behind it. */
export const WHO = text(1, 100)
  .refine((who) => !/\(\s*token\b/i.test(who), 'must not name a token: the node adds the one that is used')
  .describe('who requests it; the commands write user@host. The node adds the name of the token: `kim (token ops)`')

/** SITE, SITE/SERVICE or SITE/SERVICE/VIP. */
export const PATTERN = text(1, 255).describe('SITE, SITE/SERVICE or SITE/SERVICE/VIP')

const DURATION = z
  .string({ error: notText })
  .transform((written) => parseDurationMs(written))
  .refine(
    (ms) => ms !== undefined && durationRefusal({ action: 'drain', forMs: ms }) === undefined,
    'is not a duration like 30m, 2h or 1d, from 1s to 365d',
  )

/** `30%`, `12.5%` → ‰; undefined: it is none, or not below 100 %. */
export function readShare(written: string): number | undefined {
  const share = Math.round(1000 * (parsePercent(written) ?? 1))
  return share < 1000 ? share : undefined
}

/** What is wrong with a text that is no share. */
export const NO_SHARE = 'is not a percentage like 30%, below 100%'

/** `30%` → ‰. */
const SHARE = z
  .string({ error: notText })
  .transform((written) => readShare(written))
  .refine((share) => share !== undefined, NO_SHARE)

const OVERRIDE: z.ZodType<OverrideBody> = z
  .strictObject({
    pattern: PATTERN,
    action: z
      .enum(REQUESTED_ACTIONS, `is not one of ${REQUESTED_ACTIONS.join(', ')}`)
      .describe('`drain`; `up`, `down` (force); `undrain`, `off` undo a drain, a force'),
    to: SHARE.nullish().describe(
      'of `drain`: the share of their clients that the members keep, `30%`, below 100%; none without it',
    ),
    over: DURATION.nullish().describe(
      'of `drain` and `undrain`: the share moves there in steps over this time, from what it is by then; at once without it',
    ),
    for: DURATION.nullish().describe(
      '`30m`, `2h`, `1d`, from 1 s to 365 d, not shorter than `over`; until undone without it',
    ),
    who: WHO,
    why: text(0, 300).default('').describe('the reason; required, unless something is undone'),
    yes: z.boolean().default(false).describe('do it even if less than `keep` of a service would be left'),
  })
  .superRefine(({ action, why, to, for: forMs, over: overMs }, context) => {
    const undoes = action === 'undrain' || action === 'off'
    const fault = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message })
    if (why === '' && !undoes) fault('why', 'must give a reason, for whoever is on call later')
    if (undoes && typeof forMs === 'number') fault('for', `${action} takes no duration`)
    if (typeof to === 'number' && action !== 'drain') fault('to', `${action} takes no share, drain does`)
    if (typeof overMs === 'number' && action !== 'drain' && action !== 'undrain')
      fault('over', `${action} takes effect at once, drain and undrain may take time`)
    if (typeof forMs === 'number' && typeof overMs === 'number' && forMs < overMs)
      fault('for', 'the drain would end before it has come to its share (over)')
  })
  .transform(({ to, for: forMs, over: overMs, ...rest }) => ({
    ...rest,
    forMs: forMs ?? undefined,
    to: to ?? undefined,
    overMs: overMs ?? undefined,
  }))

/** Reads the body of POST /api/overrides: one override, or a list of them that is one order. */
export const OVERRIDES: z.ZodType<OverrideBody | readonly OverrideBody[]> = z.union([
  OVERRIDE,
  z.array(OVERRIDE).min(1, 'has no override').max(MOST_OVERRIDES, `has more than ${MOST_OVERRIDES} overrides`),
])

/** Reads the body of POST /api/freeze. */
export const FREEZE: z.ZodType<FreezeBody> = z
  .strictObject({
    action: z
      .enum(['freeze', 'unfreeze'], 'is not one of freeze, unfreeze')
      .describe('`freeze`, or `unfreeze` to end it'),
    for: DURATION.nullish().describe('of `freeze`: how long, `2h`, at most 24h; required'),
    who: WHO,
    why: text(0, 300).default('').describe('the reason; required to freeze'),
  })
  .transform(({ action, for: forMs, who, why }, context): FreezeBody => {
    const fault = (key: string, message: string): never => {
      context.addIssue({ code: 'custom', path: [key], message })
      return z.NEVER
    }
    if (action === 'unfreeze')
      return typeof forMs === 'number' ? fault('for', 'unfreeze takes no duration') : { action, who, why }
    if (why === '') return fault('why', 'must give a reason, for whoever is on call later')
    return typeof forMs === 'number'
      ? { action, who, why, forMs }
      : fault('for', 'must say how long: a freeze ends by itself')
  })

/** Reads the body of POST /api/return. */
export const RETURN: z.ZodType<ReturnBody> = z.strictObject({
  pattern: text(1, 255).describe('SITE or SITE/SERVICE'),
  who: WHO,
  why: text(0, 300).default('').describe('the reason'),
  yes: z.boolean().default(false).describe('also what is not well: it has its clients as soon as it is'),
})

/** Reads the body of POST /api/drills. */
export const DRILL: z.ZodType<DrillBody> = z
  .strictObject({
    pattern: PATTERN,
    for: DURATION.describe('how long, `30m`'),
    abortIf: z
      .array(text(1, 100))
      .min(1, 'has no rule')
      .max(20, 'has more than 20 rules')
      .default(['last-resort'])
      .describe(
        'what ends it early: `left<60%`, `last-resort` (nothing of a service is left), or a service of which no member may go down',
      ),
    who: WHO,
    why: text(1, 300).describe('the reason'),
  })
  .transform(({ for: forMs, ...rest }) => ({ ...rest, forMs: forMs ?? 0 }))

/** Reads the body of POST /api/forget. */
export const FORGET: z.ZodType<ForgetBody> = z
  .strictObject({
    prober: text(1, 63).optional().describe('the prober to remove; one of `prober` and `node`'),
    node: text(1, 63).optional().describe('the node to remove'),
    who: WHO,
  })
  .transform(({ prober, node, who }, context): ForgetBody => {
    if (prober !== undefined && node === undefined) return { kind: 'prober', name: prober, who }
    if (node !== undefined && prober === undefined) return { kind: 'node', name: node, who }
    context.addIssue({ code: 'custom', message: 'must name one of prober and node' })
    return z.NEVER
  })

/** Reads the body of POST /api/geo/accept and /api/zones/accept. */
export const ACCEPT: z.ZodType<AcceptBody> = z
  .strictObject({
    who: WHO,
    build: text(1, 1000).optional().describe('the build that must be waiting; without it whichever does'),
  })
  .transform(({ who, build }) => ({ who, build }))
