/**
 * Reads checks, and completes what all kinds have; the rest of each kind is in check-kinds.ts. A check is written in
 * defaults.yaml under a name, or at a service, or both: `use` names a check of defaults.yaml, and the keys beside it
 * replace its keys.
 *
 * With the defaults of keys.ts, a site that stops answering is out after interval + (fall − 1) × timeout + timeout,
 * because a recheck waits for the timeout anyway.
 */
import { didYouMean } from '../problem.ts'
import type { Reader } from '../yaml/read.ts'
import type { Node } from '../yaml/source.ts'
import type { CheckModel } from '../zone/model.ts'
import { completeKind } from './check-kinds.ts'
import { readRows, withDefaults } from './forms.ts'
import {
  CHECK,
  CHECK_PARTS,
  CHECK_TYPES,
  checkKeys,
  DNS_EXPECT,
  HTTP_EXPECT,
  type PartialCheck,
  portOf,
} from './keys.ts'

const NOTHING: PartialCheck = {}

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
  const name = read.text(use)
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
  const type = typeEntry === undefined ? base?.type : CHECK.type.form.read(read, typeEntry)
  if (typeEntry === undefined && type === undefined) {
    read.missing(node, 'a check', 'type', `Known: ${CHECK_TYPES.join(', ')}`)
  }
  if (type === undefined) return undefined
  const fields = read.fields(node, `a check of type ${type}`, [
    ...checkKeys(type),
    ...(base === undefined ? [] : ['use']),
  ])!
  const expect = fields.get('expect')
  const expectRows = type === 'dns' ? DNS_EXPECT : HTTP_EXPECT
  const expected = expect && read.fields(expect.value, '“expect”', Object.keys(expectRows))
  const all = new Map([...fields, ...(expected ?? [])])
  return { ...readRows(read, all, CHECK_PARTS, base), type }
}

type Timing = Pick<CheckModel, 'intervalMs' | 'timeoutMs' | 'fastMs' | 'fall' | 'rise'>

/** The timing of a check, with defaults for what is not written. */
export function timingOf(part: PartialCheck): Timing {
  const { interval: intervalMs, timeout, fast, fall, rise } = withDefaults(CHECK, part)
  const timeoutMs = timeout ?? Math.min(2000, Math.floor((intervalMs * 2) / 5))
  return { intervalMs, timeoutMs, fastMs: fast ?? Math.max(100, Math.round(intervalMs / 5)), fall, rise }
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
