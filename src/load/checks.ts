/**
 * Reads checks: the keys that all kinds have; those of each kind are in check-kinds.ts. A check is written in
 * defaults.yaml under a name, or at a service, or both: `use` names a check of defaults.yaml, and the keys beside it
 * replace its keys.
 *
 * Defaults: interval 5s; timeout 2s, or 2/5 of a shorter interval; fast (the interval of rechecks after a change) a
 * fifth of the interval and at least 100ms; fall 3; rise 2. With these, a site that stops answering is out after
 * interval + (fall − 1) × timeout + timeout, because a recheck waits for the timeout anyway.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { didYouMean } from '../problem.ts'
import { DAY_MS } from '../units.ts'
import type { Reader } from '../yaml/read.ts'
import type { Entry, Node } from '../yaml/source.ts'
import type { CheckModel } from '../zone/model.ts'
import { CHECK_TYPES, completeKind, KIND_KEYS, type PartialKind, portOf, readKind } from './check-kinds.ts'

/** A check as far as it is written in one place. */
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

/** The keys that all kinds of checks have. */
export const COMMON_KEYS = ['type', 'address', 'interval', 'timeout', 'fast', 'fall', 'rise']
/** The keys of all kinds of checks. */
export const CHECK_KEYS: readonly string[] = [...new Set([...COMMON_KEYS, ...Object.values(KIND_KEYS).flat()])]
const NOTHING: PartialCheck = { type: undefined }

/**
 * Reads `check` of a service: a check, a list of checks that must all pass, or `none`. `named`: those of defaults.yaml.
 */
export function readChecks(read: Reader, node: Node, named: ReadonlyMap<string, PartialCheck>): readonly CheckModel[] {
  if (node.kind === 'scalar' && node.text === 'none') return []
  const nodes = node.kind === 'list' ? node.items : [node]
  if (nodes.length === 0)
    read.fault('value-kind', node, 'a list of checks is empty', 'Write `check: none` to check nothing')
  return nodes.map((one) => readCheck(read, one, named)).filter((check) => check !== undefined)
}

/** Reads `checks` of defaults.yaml: named checks, each of which must be complete. */
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
  if (base === NOTHING) return undefined // reported in defaults.yaml
  const part = readPartialCheck(read, node, base)
  return part && complete(read, node, part)
}

/**
 * Reads one check. `base`: the check that `use` names. undefined when the type is unknown: no other key can be read
 * then.
 */
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

/** Reads an IP address → its canonical text; `missing` if it is not written or faulty. */
export function readAddress<M>(read: Reader, entry: Entry | undefined, missing: M): string | M {
  const text = read.text(entry, undefined)
  if (entry === undefined || text === undefined) return missing
  const bytes = parseAddress(text)
  if (bytes !== undefined) return formatAddress(bytes)
  read.fault('value-invalid', entry.value, `“${text}” is no IP address`)
  return missing
}

type Timing = Pick<CheckModel, 'intervalMs' | 'timeoutMs' | 'fastMs' | 'fall' | 'rise'>

/** The timing of a check, with defaults for what is not written. */
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

/** Fills in the defaults. undefined, and a Problem is reported, when a key is missing or keys contradict each other. */
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
