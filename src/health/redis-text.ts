/**
 * What the board says in Redis, as text: values of hash fields, and the notices on the channel. Everything that is read from
 * Redis is parsed here and nowhere else, by strict shapes with bounds, for whoever holds a password can write anything. What
 * can't be read is left out and counted (refusals.ts); nothing here throws, and missing data never means down.
 */
import { isName } from '../config.ts'
import { inLine } from '../problem.ts'
import { isOverride, type Override } from './override.ts'
import type { Kind } from './keys.ts'
import { RESERVED } from './keys.ts'
import type { Refusals } from './refusals.ts'
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

/** Of a message on the channel, in bytes of Redis or UTF-16 units here. */
export const MOST_MESSAGE = 1024 * 1024
/** Of an override as JSON, and of any other single value. */
const MOST_ENTRY = 4096
const MOST_REASON = 200
const MOST_WORDS = 500
/** Targets of one member. */
const MOST_PROVEN = 64

const BOOT = /^[\w-]{1,64}$/
/** A target's id, or a hash: hexadecimal here, whatever another version makes of it. */
const ID = /^[\w.+-]{0,64}$/
const REV = /^[\d.]{0,40}$/
/** `site/service/address`, or a pattern of them. */
const MEMBER = /^[\w.-]{1,63}(\/[\w.-]{1,63}(\/[\w.:%]{1,63})?)?$/
const VOTE = /^([uda])([!.])(\d{1,4}(?:\.\d{1,6})?) (\d{1,9}(?:\.\d{1,6})?) /
const COUNT = /^\d{1,16}$/

const isTarget = (text: string): boolean => text !== '' && ID.test(text)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** Text of anybody's, as it may go into logs, metrics and terminals. */
const cleaned = (text: string, most: number): string => inLine(text.slice(0, most))

const LETTERS: Readonly<Record<VoteValue, string>> = { up: 'u', down: 'd', abstain: 'a' }
const VALUES: Readonly<Record<string, VoteValue>> = { u: 'up', d: 'down', a: 'abstain' }

/** `u.1000 12.3 200`: value, `!` while moving, share, round trip in ms, reason. */
export const voteText = ({ value, moving, share, rttMs, reason }: Vote): string =>
  `${LETTERS[value]}${moving ? '!' : '.'}${share} ${Math.round(rttMs * 10) / 10} ${cleaned(reason, MOST_REASON)}`

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
  const match = VOTE.exec(text)
  if (match === null || !isTarget(target)) return undefined
  const [head, letter, mark, share, rttMs] = match
  if (Number(share) > 1000) return undefined
  return {
    target: intern.of(target),
    value: VALUES[letter!]!,
    moving: mark === '!',
    reason: intern.of(cleaned(text.slice(head.length), MOST_REASON)),
    rttMs: Number(rttMs),
    share: Number(share),
  }
}

/** Votes among the fields of a prober's hash or notice, and the targets that it takes back; what can't be read is counted. */
export function readVotes(
  fields: Fields,
  from: string,
  intern: Intern,
  refusals: Refusals,
): { readonly votes: Vote[]; readonly retired: string[] } {
  const votes: Vote[] = []
  const retired: string[] = []
  let unread = 0
  for (const [target, text] of pairs(fields)) {
    if (text === '' && isTarget(target)) {
      retired.push(target)
      continue
    }
    const vote = readVote(target, text, intern)
    if (vote === undefined) unread++
    else votes.push(vote)
  }
  refusals.count('vote', `prober ${from}`, '', unread)
  return { votes, retired }
}

export const proberBeatText = ({ sequence, configHash, overdue, overdueAgeMs }: Heartbeat): string =>
  JSON.stringify([sequence, configHash, overdue, Math.round(overdueAgeMs)])

export function readProberBeat(prober: ProberIdentity, text: string): Heartbeat | undefined {
  const [sequence, configHash, overdue, overdueAgeMs] = listOf(text, MOST_ENTRY) ?? []
  if (!isCount(sequence) || !isCount(overdue) || !isCount(overdueAgeMs)) return undefined
  if (typeof configHash !== 'string' || !ID.test(configHash)) return undefined
  return { prober, sequence, configHash, overdue, overdueAgeMs }
}

/** As git.ts forms it. */
const REVISION = /^[0-9a-f]{7}(-dirty)?$/

export const nodeBeatText = ({ sequence, version, view, plan, verdicts, revision }: NodeBeat): string =>
  JSON.stringify([sequence, version, view, plan, verdicts, ...(revision === undefined ? [] : [revision])])

export function readNodeBeat(node: NodeIdentity, text: string): NodeBeat | undefined {
  const [sequence, ...hashes] = listOf(text, MOST_ENTRY) ?? []
  const [version, view, plan, verdicts, revision] = hashes.map((each) =>
    typeof each === 'string' && ID.test(each) ? each : undefined,
  )
  if (!isCount(sequence) || version === undefined) return undefined
  if (view === undefined || plan === undefined || verdicts === undefined) return undefined
  const isRevision = revision !== undefined && REVISION.test(revision)
  return { node, sequence, version, view, plan, verdicts, ...(isRevision && { revision }) }
}

/** `u TARGET TARGET …`: the verdict, and the targets that were seen up. */
export const knownText = ({ verdict, proven }: KnownMember): string => [LETTERS[verdict], ...proven].join(' ')

export function readKnown(fields: Fields, from: string, intern: Intern, refusals: Refusals): Map<string, KnownMember> {
  const known = new Map<string, KnownMember>()
  let unread = 0
  for (const [member, text] of pairs(fields)) {
    const [letter = '', ...proven] = text.length > MOST_ENTRY ? [] : text.split(' ')
    const verdict = letter === 'u' ? 'up' : letter === 'd' ? 'down' : undefined
    if (verdict === undefined || !MEMBER.test(member) || proven.length > MOST_PROVEN || !proven.every(isTarget))
      unread++
    else known.set(intern.of(member), { verdict, proven: proven.map((target) => intern.of(target)) })
  }
  refusals.count('known', `node ${from}`, '', unread)
  return known
}

/** Arguments of lua/override.1.lua for one entry. */
export const overrideArguments = (entry: Override): string[] => [
  entry.pattern,
  String(entry.version),
  entry.node,
  JSON.stringify(entry),
]

/** Of the hash of overrides: values are `ms json`, each read for itself. */
export const readOverrides = (fields: Fields, refusals: Refusals): Override[] =>
  readEntries(
    pairs(fields).map(([, text]) => text.slice(text.indexOf(' ') + 1)),
    refusals,
  )

function readEntries(texts: readonly string[], refusals: Refusals): Override[] {
  const entries = texts.map(readOverride).filter((entry) => entry !== undefined)
  refusals.count('override', '', '', texts.length - entries.length)
  return entries
}

/** undefined: what a newer version, or anybody, may have put up. */
function readOverride(text: string): Override | undefined {
  const value = parsed(text, MOST_ENTRY)
  if (!isOverride(value)) return undefined
  const { pattern, action, version, node, who, why, madeMs, untilMs } = value
  if (!MEMBER.test(pattern) || !(node === '' || isName(node)) || !isCount(version)) return undefined
  return {
    pattern,
    action,
    version,
    node,
    who: cleaned(who, MOST_WORDS),
    why: cleaned(why, MOST_WORDS),
    madeMs,
    untilMs,
  }
}

/** Without those that are ours; a field without a value is none. */
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

const KINDS: Readonly<Record<string, Kind>> = { p: 'prober', n: 'node' }
export const kindLetter = (kind: Kind): string => kind.charAt(0)

/**
 * What a hash says of itself (HEAD_FIELDS): a notice without changes. undefined: a field is missing or none that can be read,
 * and the hash says nothing.
 */
export function readHead(
  kind: Kind,
  name: string,
  [boot, region, n, beat]: readonly (string | null | undefined)[],
): PostNotice | undefined {
  const head = headOf(kind, name, boot ?? '', region ?? '', n ?? '', beat ?? '')
  return typeof head === 'string' ? undefined : { ...head, told: 'some', rev: undefined, fields: [] }
}

/** What is wrong, in words, when it is no head. */
function headOf(kind: Kind, name: string, boot: string, region: string, n: string, beat: string) {
  if (!isName(name)) return `no ${kind} is called so`
  if (!BOOT.test(boot)) return 'its boot id'
  if (!(kind === 'node' && region === '') && !isName(region)) return 'its region'
  if (!COUNT.test(n) || !isCount(Number(n))) return 'its count of changes'
  if (beat.length > MOST_ENTRY) return 'its heartbeat'
  return { kind, name, boot, region, n: Number(n), beat }
}

/** The notice in a message of the channel; undefined: it can't be read, which is counted, with who sent it as far as it says. */
export function readNotice(text: string, refusals: Refusals): Notice | undefined {
  const refuse = (from: string, why: string) => refusals.count('notice', from, why)
  if (text.length > MOST_MESSAGE) return refusals.count('oversized', '', `a message of ${text.length} characters`)
  const list = listOf(text, MOST_MESSAGE)
  if (list === undefined) return refuse('', 'no list in JSON')
  const strings = list.filter((item) => typeof item === 'string')
  const [letter = '', name = '', boot = '', region = '', n = '', told = '', rev = '', beat = '', ...fields] = strings
  if (strings.length !== list.length) return refuse(name, 'something in it is no text')
  if (letter === 'f') return isName(name) ? { kind: 'forget', prober: name } : refuse('', 'no name of a prober')
  if (letter === 'o') {
    if (!REV.test(name) || !REV.test(boot)) return refuse('', 'its revision of overrides')
    return { kind: 'override', before: name, rev: boot, entries: readEntries(strings.slice(3), refusals) }
  }
  const kind = Object.hasOwn(KINDS, letter) ? KINDS[letter] : undefined
  if (kind === undefined) return refuse('', 'of no kind that is known')
  const from = `${kind} ${name}`
  const head = headOf(kind, name, boot, region, n, beat)
  if (typeof head === 'string') return refuse(from, head)
  if (fields.length % 2 !== 0) return refuse(from, 'an odd number of fields')
  if (told !== 'all' && told !== 'some' && told !== 'read' && told !== 'beat') return refuse(from, 'its form')
  if (!REV.test(rev)) return refuse(from, 'its revision of overrides')
  return { ...head, told: told === 'beat' ? 'some' : told, rev: kind === 'node' ? rev : undefined, fields }
}

function listOf(text: string, most: number): readonly unknown[] | undefined {
  const value = parsed(text, most)
  return Array.isArray(value) ? value : undefined
}

/** undefined: too long, or no JSON. */
function parsed(text: string, most: number): unknown {
  if (text.length > most) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
