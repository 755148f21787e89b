/**
 * Applies an operator's freeze, or a return of sites that have failed over, at this node: waits until it is stored and the
 * other nodes acknowledge it, and logs it. Called by RunningNode for POST /api/freeze and /api/return. Either is in force
 * at once; the result says where it is not stored, and which nodes have not got it, so far.
 */
import type { Awaiting, Reached } from '../health/controls.ts'
import type { Acknowledgement, FreezeStatus, MemberStanding, NodeHealth } from '../health/node-health.ts'
import { someOf } from '../units.ts'
import type { FreezeBody, ReturnBody } from './bodies.ts'
import type { Refusal } from './contract.ts'
import { lacksInWords, type NotStored, notStoredIn, type WriteLog } from './override.ts'

/** The result of a freeze, or of its end. Plain JSON. */
export interface FreezeResult extends Acknowledgement {
  /** The freeze in force now, and (before) until now; null: none. */
  readonly freeze: FreezeStatus | null
  readonly before: FreezeStatus | null
  readonly notKept: NotStored
}

/** The result of a return. Plain JSON. */
export interface ReturnResult extends Acknowledgement {
  /** What was returned, as `SITE/SERVICE`. */
  readonly returned: readonly string[]
  /** What matches too, and stays passed over: it is not well. */
  readonly waiting: readonly Awaiting[]
  readonly services: readonly {
    readonly service: string
    readonly leftBeforePercent: number
    readonly leftPercent: number
    readonly keepPercent: number
    readonly lastResort: boolean
    /** Its other sites that clients don't get now, and the state of their members. */
    readonly unusable: readonly { readonly site: string; readonly state: string }[]
  }[]
  /** A freeze that is in force meanwhile: what counts as down by it does so although it is returned. */
  readonly freeze: FreezeStatus | null
  readonly notKept: NotStored
}

type Health = Pick<NodeHealth, 'controls' | 'overview'>

/** Begins a freeze, or ends it. */
export async function applyFreeze(
  { controls }: Pick<Health, 'controls'>,
  { action, who, why, forMs }: FreezeBody,
  log: WriteLog,
): Promise<FreezeResult | Refusal> {
  const before = controls.status
  const result = action === 'freeze' ? controls.freeze({ who, why, forMs }) : controls.unfreeze({ who, why })
  if ('refused' in result) return result
  const reached = await result.saved
  const freeze = controls.status
  const reason = why === '' ? '' : `: ${why}`
  const what =
    freeze === null
      ? `the freeze is over, ended by ${who}${reason}`
      : `the automation is frozen by ${who} until ${new Date(freeze.untilMs ?? 0).toISOString()}${reason}`
  return { freeze, before, ...told(reached, what, { freeze, before }, log) }
}

/** Lets sites have their clients again that have failed over. */
export async function applyReturn(health: Health, body: ReturnBody, log: WriteLog): Promise<ReturnResult | Refusal> {
  const { controls } = health
  const left = new Map(health.overview().services.map(({ service, leftPercent }) => [service, leftPercent]))
  const result = controls.return(body)
  if ('refused' in result) return result
  const reached = await result.saved
  const { returned, waiting } = result
  const after = health.overview()
  const names = new Set(returned.map((subject) => subject.slice(subject.indexOf('/') + 1)))
  const services = after.services
    .filter(({ service }) => names.has(service))
    .map(({ service, leftPercent, keepPercent, lastResort }) => ({
      service,
      leftBeforePercent: left.get(service) ?? leftPercent,
      leftPercent,
      keepPercent,
      lastResort,
      unusable: unusableOf(after.members, service, returned),
    }))
  const what = `${someOf(returned, 5)}: returned by ${body.who}${body.why === '' ? '' : `: ${body.why}`}`
  return { returned, waiting, services, freeze: controls.status, ...told(reached, what, { returned, waiting }, log) }
}

/** Logs a change, and says where it is not in force so far. */
function told(
  { disk, store, reached, unreached }: Reached,
  what: string,
  fields: object,
  log: WriteLog,
): Acknowledgement & { readonly notKept: NotStored } {
  const notKept = notStoredIn({ disk, store })
  log({ ...fields, notKept, unreached }, [what, ...lacksInWords(notKept, unreached)].join('; '))
  return { notKept, reached, unreached }
}

/** The sites of a service without a member that is up, but for those that were returned. */
function unusableOf(members: readonly MemberStanding[], service: string, returned: readonly string[]) {
  const own = Map.groupBy(
    members.filter((member) => member.service === service && !returned.includes(`${member.site}/${service}`)),
    ({ site }) => site,
  )
  return [...own]
    .filter(([, there]) => there.every(({ state }) => state !== 'up'))
    .map(([site, there]) => ({ site, state: there[0]!.state }))
}
