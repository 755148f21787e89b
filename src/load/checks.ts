/**
 * The schemas of checks, as far as they are common to all kinds; what each has of its own is in check-kinds.ts. A check is written
 * in defaults.yaml under a name, inline at a service, or both: `use` names one, and the keys beside it replace that one's.
 *
 * Defaults: interval 5s; timeout 2s, or 2/5 of a shorter interval; fast (rechecks after a change) a fifth of the interval
 * and at least 100ms: with these, a silent site is out after interval + (fall − 1) × timeout + timeout, for rechecks
 * wait for the timeout anyway; fall 3; rise 2.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { didYouMean } from '../problem.ts'
import { DAY_MS } from '../units.ts'
import type { Reader } from '../yaml/read.ts'
import type { Entry, Node } from '../yaml/source.ts'
import type { CheckModel } from '../zone/model.ts'
import { CHECK_TYPES, completeKind, KIND_KEYS, type PartialKind, portOf, readKind } from './check-kinds.ts'

/** A check as far as one place writes it. */
export interface PartialCheck extends PartialKind {
  readonly type: CheckModel['type'] | undefined
  readonly port?: number | undefined
  readonly address?: string | undefined
  readonly intervalMs?: number | undefined
  readonly timeoutMs?: number | undefined
  readonly fastMs?: number | undefined
  readonly fall?: number | undefined
  readonly rise?: number | undefined
}

export const COMMON_KEYS = ['type', 'address', 'interval', 'timeout', 'fast', 'fall', 'rise']
export const CHECK_KEYS: readonly string[] = [...new Set([...COMMON_KEYS, ...Object.values(KIND_KEYS).flat()])]
const NOTHING: PartialCheck = { type: undefined }

/** `check:` of a service: a check, a list of them (all must pass), or `none`. */
export function readChecks(read: Reader, node: Node, named: ReadonlyMap<string, PartialCheck>): readonly CheckModel[] {
  if (node.kind === 'scalar' && node.text === 'none') return []
  const nodes = node.kind === 'list' ? node.items : [node]
  if (nodes.length === 0)
    read.fault('value-kind', node, 'a list of checks is empty', 'Write `check: none` to check nothing')
  return nodes.map((one) => readCheck(read, one, named)).filter((check) => check !== undefined)
}

/** The named checks of defaults.yaml; each must be whole in itself. */
export function readNamedChecks(read: Reader, node: Node): ReadonlyMap<string, PartialCheck> {
  const named = new Map<string, PartialCheck>()
  for (const { key, value } of read.entries(node, '“checks”')) {
    const part = readPartialCheck(read, value, undefined)
    const check = part && complete(read, value, part)
    named.set(key.text, check === undefined ? NOTHING : part!)
  }
  return named
}

function readCheck(read: Reader, node: Node, named: ReadonlyMap<string, PartialCheck>): CheckModel | undefined {
  const use = node.kind === 'mapping' ? node.entries.find(({ key }) => key.text === 'use') : undefined
  const name = read.text(use, undefined)
  const base = name === undefined ? undefined : named.get(name)
  if (use !== undefined && base === undefined) {
    const hint = didYouMean(name ?? '', named.keys()) ?? 'Named checks stand under `checks` in defaults.yaml'
    read.fault('check-unknown', use.value, `there is no check “${name}”`, hint)
    return undefined
  }
  if (base === NOTHING) return undefined // reported where it is written
  const part = readPartialCheck(read, node, base)
  return part && complete(read, node, part)
}

/** undefined when the kind of check is not known: nothing else can be read then. */
function readPartialCheck(read: Reader, node: Node, base: PartialCheck | undefined): PartialCheck | undefined {
  if (node.kind !== 'mapping') {
    read.fault(
      'value-kind',
      node,
      'a check is a mapping',
      'Write `{use: NAME}` for a check of defaults.yaml, or `none`',
    )
    return undefined
  }
  const typeEntry = node.entries.find(({ key }) => key.text === 'type')
  const type = typeEntry === undefined ? base?.type : read.oneOf(typeEntry, CHECK_TYPES, undefined)
  if (typeEntry === undefined && type === undefined) {
    read.missing(node, 'a check', 'type', `Known: ${CHECK_TYPES.join(', ')}`)
  }
  if (type === undefined) return undefined
  const keys = [...COMMON_KEYS, ...KIND_KEYS[type], ...(base === undefined ? [] : ['use'])]
  const fields = read.fields(node, `a check of type ${type}`, keys)!
  const like = base ?? NOTHING
  return {
    type,
    port: read.integer(fields.get('port'), 1, 65_535, fields.has('port') ? 0 : like.port),
    address: readAddress(read, fields.get('address'), like.address),
    intervalMs: read.durationMs(fields.get('interval'), 100, DAY_MS, like.intervalMs),
    timeoutMs: read.durationMs(fields.get('timeout'), 10, DAY_MS, like.timeoutMs),
    fastMs: read.durationMs(fields.get('fast'), 10, DAY_MS, like.fastMs),
    fall: read.integer(fields.get('fall'), 1, 100, like.fall),
    rise: read.integer(fields.get('rise'), 1, 100, like.rise),
    ...readKind(read, type, fields, like),
  }
}

/** Canonical text of an address. */
export function readAddress<M>(read: Reader, entry: Entry | undefined, missing: M): string | M {
  const text = read.text(entry, undefined)
  if (entry === undefined || text === undefined) return missing
  const bytes = parseAddress(text)
  if (bytes !== undefined) return formatAddress(bytes)
  read.fault('value-invalid', entry.value, `“${text}” is no IP address`)
  return missing
}

type Timing = Pick<CheckModel, 'intervalMs' | 'timeoutMs' | 'fastMs' | 'fall' | 'rise'>

/** What is written, and the defaults for the rest. */
export function timingOf(part: { readonly [key in keyof Timing]?: Timing[key] | undefined }): Timing {
  const intervalMs = part.intervalMs ?? 5000
  return {
    intervalMs,
    timeoutMs: part.timeoutMs ?? Math.min(2000, Math.floor((intervalMs * 2) / 5)),
    fastMs: part.fastMs ?? Math.max(100, Math.round(intervalMs / 5)),
    fall: part.fall ?? 3,
    rise: part.rise ?? 2,
  }
}

/** Fills in what nobody wrote; undefined, and reported, when it does not fit together. */
function complete(read: Reader, node: Node, part: PartialCheck): CheckModel | undefined {
  const timing = timingOf(part)
  const { intervalMs, timeoutMs, fastMs } = timing
  if (timeoutMs >= intervalMs) {
    const message = `the timeout of ${timeoutMs} ms is not below the interval of ${intervalMs} ms`
    read.fault('check-timing', node, message, 'One check must have ended before the next begins')
    return undefined
  }
  if (fastMs > intervalMs) {
    const message = `the fast interval of ${fastMs} ms is above the interval of ${intervalMs} ms`
    read.fault('check-timing', node, message, 'Leave `fast` out for a fifth of the interval')
    return undefined
  }
  const { type, address } = part
  const kind = type && completeKind(read, node, type, part)
  const port = type && portOf(type, part)
  if (kind === undefined) return undefined
  if (port === undefined) {
    read.missing(node, `a check of type ${type}`, 'port')
    return undefined
  }
  return { port, ...timing, ...(address !== undefined && { address }), ...kind }
}
