/**
 * What the board says in Redis, as text: values of hash fields, and the notices on the channel. Whatever can't be read,
 * because another version wrote it, is left out and never throws: missing data never means down.
 */
import { isOverride, type Override } from './override.ts'
import type { Kind } from './keys.ts'
import { RESERVED } from './keys.ts'
import type { Heartbeat, KnownMember, NodeBeat, NodeIdentity, ProberIdentity, Vote, VoteValue } from './store.ts'

/** Of a hash: field, value, field, value … */
export type Fields = readonly string[]

/** One message of the channel. */
export type Notice =
  | PostNotice
  | { readonly kind: 'override'; readonly before: string; readonly rev: string; readonly entries: readonly Override[] }
  | { readonly kind: 'forget'; readonly prober: string }

/** A prober or a node has said something: see lua/post.2-3.lua. */
export interface PostNotice {
  readonly kind: Kind
  readonly name: string
  readonly boot: string
  readonly region: string
  readonly n: number
  /** `all`: the fields are all that it says; `read`: its hash has that; `some`: the fields are changes, if any. */
  readonly told: 'all' | 'some' | 'read'
  /** Of the overrides, '' when there are none; undefined = not said. */
  readonly rev: string | undefined
  readonly beat: string
  /** field, value, field, value …; value '' = taken back. */
  readonly fields: Fields
}

const LETTERS: Readonly<Record<VoteValue, string>> = { up: 'u', down: 'd', abstain: 'a' }
const VALUES: Readonly<Record<string, VoteValue>> = { u: 'up', d: 'down', a: 'abstain' }

/** `u.1000 12.3 200`: value, `!` while moving, share, round trip in ms, reason. */
export const voteText = ({ value, moving, share, rttMs, reason }: Vote): string =>
  `${LETTERS[value]}${moving ? '!' : '.'}${share} ${Math.round(rttMs * 10) / 10} ${reason}`

/** Equal targets and reasons of many probers are kept once: a node hears some 50 times as many votes as targets. */
export class Intern {
  readonly #known = new Map<string, string>()

  of(text: string): string {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    if (this.#known.size >= 100_000) this.#known.clear() // targets come and go for years
    this.#known.set(text, text)
    return text
  }
}

export function readVote(target: string, text: string, intern: Intern): Vote | undefined {
  const first = text.indexOf(' ')
  const second = text.indexOf(' ', first + 1)
  const value = VALUES[text.charAt(0)]
  const share = Number(text.slice(2, first))
  const rttMs = Number(text.slice(first + 1, second))
  if (value === undefined || first < 0 || second < 0 || !(share >= 0) || !(rttMs >= 0)) return undefined
  const moving = text.charAt(1) === '!'
  return { target: intern.of(target), value, moving, reason: intern.of(text.slice(second + 1)), rttMs, share }
}

export const proberBeatText = ({ sequence, configHash, overdue, overdueAgeMs }: Heartbeat): string =>
  JSON.stringify([sequence, configHash, overdue, Math.round(overdueAgeMs)])

export function readProberBeat(prober: ProberIdentity, text: string): Heartbeat | undefined {
  const list = listOf(text)
  if (list === undefined) return undefined
  const [sequence, configHash, overdue, overdueAgeMs] = list
  if (typeof sequence !== 'number' || typeof configHash !== 'string') return undefined
  return { prober, sequence, configHash, overdue: Number(overdue) || 0, overdueAgeMs: Number(overdueAgeMs) || 0 }
}

/** As zone/git.ts forms it. */
const REVISION = /^[0-9a-f]{7}(-dirty)?$/

export const nodeBeatText = ({ sequence, version, view, plan, verdicts, revision }: NodeBeat): string =>
  JSON.stringify([sequence, version, view, plan, verdicts, ...(revision === undefined ? [] : [revision])])

export function readNodeBeat(node: NodeIdentity, text: string): NodeBeat | undefined {
  const [sequence, ...hashes] = listOf(text) ?? []
  const [version, view, plan, verdicts, revision] = hashes.map((each) => (typeof each === 'string' ? each : undefined))
  if (typeof sequence !== 'number' || version === undefined) return undefined
  if (view === undefined || plan === undefined || verdicts === undefined) return undefined
  const isRevision = revision !== undefined && REVISION.test(revision)
  return { node, sequence, version, view, plan, verdicts, ...(isRevision && { revision }) }
}

/** `u TARGET TARGET …`: the verdict, and the targets that were seen up. */
export const knownText = ({ verdict, proven }: KnownMember): string => [LETTERS[verdict], ...proven].join(' ')

export function readKnown(fields: Fields, intern: Intern): Map<string, KnownMember> {
  const known = new Map<string, KnownMember>()
  for (const [member, text] of pairs(fields)) {
    const [letter = '', ...proven] = text.split(' ')
    const verdict = VALUES[letter]
    if (verdict !== 'up' && verdict !== 'down') continue
    known.set(intern.of(member), { verdict, proven: proven.map((target) => intern.of(target)) })
  }
  return known
}

/** Arguments of lua/override.1.lua for one entry. */
export const overrideArguments = (entry: Override): string[] => [
  entry.pattern,
  String(entry.version),
  entry.node,
  JSON.stringify(entry),
]

/** Of the hash of overrides: values are `ms json`. */
export const readOverrides = (fields: Fields): Override[] =>
  pairs(fields).flatMap(([, text]) => readOverride(text.slice(text.indexOf(' ') + 1)))

/** Without those that are ours. */
function pairs(fields: Fields): (readonly [string, string])[] {
  const list: (readonly [string, string])[] = []
  for (let i = 0; i + 1 < fields.length; i += 2)
    if (!fields[i]!.startsWith(RESERVED)) list.push([fields[i]!, fields[i + 1]!])
  return list
}

/** The value of one of ours. */
export function fieldOf(fields: Fields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]
  return undefined
}

/** Without what a newer version may have put up. */
function readOverride(text: string): Override[] {
  try {
    const entry: unknown = JSON.parse(text)
    return isOverride(entry) ? [entry] : []
  } catch {
    return []
  }
}

const KINDS: Readonly<Record<string, Kind>> = { p: 'prober', n: 'node' }
export const kindLetter = (kind: Kind): string => kind.charAt(0)

/** undefined: nothing that this version knows. */
export function readNotice(text: string): Notice | undefined {
  const list = listOf(text)?.filter((item) => typeof item === 'string') ?? []
  const [letter = '', name = '', boot = '', region = '', n, told, rev = '', beat = '', ...fields] = list
  if (letter === 'f') return { kind: 'forget', prober: name }
  if (letter === 'o') return { kind: 'override', before: name, rev: boot, entries: list.slice(3).flatMap(readOverride) }
  const kind = KINDS[letter]
  if (kind === undefined || boot === '' || !(Number(n) >= 0)) return undefined
  return {
    kind,
    name,
    boot,
    region,
    n: Number(n),
    told: told === 'all' || told === 'read' ? told : 'some',
    rev: kind === 'node' ? rev : undefined,
    beat,
    fields,
  }
}

function listOf(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
