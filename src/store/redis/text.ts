/**
 * The text of hashes, fields and log lines in Redis. Everything that is read from Redis is parsed here and nowhere
 * else, strictly and with length limits, because anyone with a password can write anything. Malformed data is dropped
 * and counted (health/refusals.ts); nothing here throws, and missing data never means down.
 */
import { isName } from '../../config.ts'
import {
  fromRecord,
  isControlPattern,
  isOverrideRecord,
  type Override,
  type OverrideRecord,
  recordOf,
} from '../../health/override.ts'
import type { Refusals } from '../../health/refusals.ts'
import type {
  EventLine,
  FleetRates,
  Forgotten,
  Heartbeat,
  KnownMember,
  NodeHeartbeat,
  NodeIdentity,
  ProberIdentity,
} from '../../health/store.ts'
import type { Vote, VoteValue } from '../../health/vote.ts'
import { inLine } from '../../problem.ts'
import { attempt } from '../../state.ts'
import { type Fields, pairs } from './fields.ts'
import { HINTS, type Kind, processOfField } from './keys.ts'
import type { Signer } from './signer.ts'

/** The fields that describe a hash: HEAD_FIELDS. */
export interface Head {
  readonly kind: Kind
  readonly name: string
  readonly boot: string
  /** Empty for nodes. */
  readonly region: string
  /** Number of its changes. */
  readonly n: number
  /** Its heartbeat; empty: none so far. */
  readonly beat: string
  /** Sum over its fields, and (mac) the signature; empty without a secret. */
  readonly sum: string
  readonly mac: string
}

/** One line of a prober's log: what it changed when its n became this. */
export interface ChangeLine {
  readonly n: number
  readonly mac: string
  /** field, value, field, value …; value '' = taken back. */
  readonly fields: Fields
}

/** Longest message on a channel or value in Redis, in bytes. */
export const MOST_MESSAGE = 1024 * 1024
/** Of a log, in UTF-16 units. */
const MOST_LINE = 65_536
/** Of a vote, of an override as JSON, and of any other single value; a freeze has a list (MOST_LINE). */
const MOST_ENTRY = 4096
const MOST_REASON = 200
const MOST_WORDS = 500
/** Word and boot id of a message. */
const MOST_HEAD = 128
/** Targets of one member. */
const MOST_PROVEN = 64

const BOOT = /^[\w-]{1,64}$/
/** A target's id, or a hash: hexadecimal here, whatever another version makes of it. */
const ID = /^[\w.+-]{0,64}$/
/** `site/service/address`, or a pattern of them. A dynamic record is a service, and its name has more than letters. */
const MEMBER = /^[\w.-]{1,63}(\/[!-.0-~]{1,512}(\/[\w.:%-]{1,254})?)?$/
/** Of answers; empty: of those without one. */
const SITE = /^[\w.-]{0,63}$/
/** The pattern of a failover or a freeze. */
const CONTROL = /^(?:\*|[\w.-]{1,63}\/[!-.0-~]{1,512}\/\*)$/
const VOTE = /^([uda])([!.])(\d{1,4}(?:\.\d{1,6})?) (\d{1,9}(?:\.\d{1,6})?) /
const COUNT = /^\d{1,16}$/

const isTarget = (text: string): boolean => text !== '' && ID.test(text)
const isMs = (value: unknown): value is number => Number.isSafeInteger(value)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** Text of anybody's, as it may go into logs, metrics and terminals. */
const cleaned = (text: string, most: number): string => inLine(text.slice(0, most))

const LETTERS: Readonly<Record<VoteValue, string>> = { up: 'u', down: 'd', abstain: 'a' }
const VALUES: Readonly<Record<string, VoteValue>> = { u: 'up', d: 'down', a: 'abstain' }

/** `u.1000 12.3 200`: value, `!` while moving, share, round trip in ms, reason. */
export const voteText = ({ value, moving, share, rttMs, reason }: Vote): string =>
  `${LETTERS[value]}${moving ? '!' : '.'}${share} ${Math.round(rttMs * 10) / 10} ${cleaned(reason, MOST_REASON)}`

/** Keeps equal targets and reasons once: a node reads some 50 times as many votes as targets. */
export class Intern {
  readonly #known = new Map<string, string>()

  of(text: string): string {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    if (this.#known.size >= 100_000) this.#known.clear() // targets come and go for years
    const own = Buffer.from(text).toString() // a part of a longer text keeps all of that in memory
    this.#known.set(own, own)
    return own
  }
}

/** Parses a vote; undefined: it is malformed. */
export function readVote(target: string, text: string, intern: Intern): Vote | undefined {
  const match = text.length > MOST_ENTRY ? null : VOTE.exec(text)
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

/** Votes in a prober's hash or log line, and the targets that it retires; malformed votes are counted. */
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

/** A prober's heartbeat as JSON. */
export const proberBeatText = ({ sequence, configHash, overdue, overdueAgeMs }: Heartbeat): string =>
  JSON.stringify([sequence, configHash, overdue, Math.round(overdueAgeMs)])

/** Parses a prober's heartbeat; undefined: it is malformed. */
export function readProberBeat(prober: ProberIdentity, text: string): Heartbeat | undefined {
  const [sequence, configHash, overdue, overdueAgeMs] = listOf(text, MOST_ENTRY) ?? []
  if (!isCount(sequence) || !isCount(overdue) || !isCount(overdueAgeMs)) return undefined
  if (typeof configHash !== 'string' || !ID.test(configHash)) return undefined
  return { prober, sequence, configHash, overdue, overdueAgeMs }
}

/** As git.ts forms it. */
const REVISION = /^[0-9a-f]{7}(-dirty)?$/

/** A node's heartbeat as JSON. Only its end may grow: nodes of the version before read the begin. */
export function nodeBeatText(beat: NodeHeartbeat): string {
  const { sequence, version, view, plan, verdicts, revision = '', overrides = '', clockMs = null } = beat
  const { ends, forgotten = '', controls = '' } = beat
  const begin = [sequence, version, view, plan, verdicts, revision, overrides, clockMs]
  const rates = beat.rates === undefined ? [] : [ratesValue(beat.rates)]
  return JSON.stringify([...begin, ends === true ? 1 : 0, forgotten, controls, ...rates])
}

/** Of a heartbeat: of very many sites those with most answers. */
const MOST_RATES = 2_500

/** `[queries, site, answers, site, answers …]` */
function ratesValue({ queriesPerSecond, sites }: FleetRates): readonly unknown[] {
  const value: unknown[] = [queriesPerSecond]
  let length = 0
  for (const { site, answersPerSecond } of sites) {
    length += site.length + String(answersPerSecond).length + 4
    if (length > MOST_RATES) break
    value.push(site, answersPerSecond)
  }
  return value
}

function readRates(value: unknown): FleetRates | undefined {
  if (!Array.isArray(value)) return undefined
  const [queriesPerSecond, ...rest]: readonly unknown[] = value
  if (!isRate(queriesPerSecond) || rest.length % 2 !== 0) return undefined
  const sites: { site: string; answersPerSecond: number }[] = []
  for (let i = 0; i < rest.length; i += 2) {
    const [site, answersPerSecond] = [rest[i], rest[i + 1]]
    if (typeof site !== 'string' || !SITE.test(site) || !isRate(answersPerSecond)) return undefined
    sites.push({ site, answersPerSecond })
  }
  return { queriesPerSecond, sites }
}

const isRate = (value: unknown): value is number => typeof value === 'number' && value >= 0 && value <= 1e12

/** Parses a node's heartbeat; undefined: it is malformed. */
export function readNodeBeat(node: NodeIdentity, text: string): NodeHeartbeat | undefined {
  const [sequence, ...rest] = listOf(text, MOST_ENTRY) ?? []
  const ids = rest.map((each) => (typeof each === 'string' && ID.test(each) ? each : undefined))
  const [version, view, plan, verdicts, revision, overrides] = ids
  const [clockMs, ends] = rest.slice(6)
  const [forgotten, controls] = ids.slice(8)
  const rates = readRates(rest[10])
  if (!isCount(sequence) || version === undefined) return undefined
  if (view === undefined || plan === undefined || verdicts === undefined) return undefined
  const isRevision = revision !== undefined && REVISION.test(revision)
  return {
    node,
    sequence,
    version,
    view,
    plan,
    verdicts,
    ...(isRevision && { revision }),
    ...(overrides !== undefined && overrides !== '' && { overrides }),
    ...(forgotten !== undefined && forgotten !== '' && { forgotten }),
    ...(controls !== undefined && controls !== '' && { controls }),
    ...(isMs(clockMs) && { clockMs }),
    ...(ends === 1 && { ends: true }),
    ...(rates !== undefined && { rates }),
  }
}

/** `u TARGET TARGET …`: the verdict, and the targets that were seen up. */
export const knownText = ({ verdict, proven }: KnownMember): string => [LETTERS[verdict], ...proven].join(' ')

/** Parses what a node knows of members; malformed entries are counted. */
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
export function overrideArguments(entry: Override, signer: Signer): string[] {
  const record = recordOf(entry)
  const mac = signer.sign('override', overrideParts(record))
  const json = JSON.stringify(mac === '' ? record : { ...record, mac })
  const ageMs = Math.max(0, Math.round(performance.now() - entry.setMs))
  return [entry.pattern, String(entry.version), entry.node, json, String(ageMs)]
}

/**
 * Parses the hash of overrides, whose values are `ms json`; malformed entries are counted. `redisMs`: Redis's clock
 * when it was read.
 */
export function readOverrides(fields: Fields, redisMs: number, refusals: Refusals, signer: Signer): Override[] {
  const found = pairs(fields)
  const entries = found.flatMap(([pattern, text]) => {
    const entry = readOverride(text, redisMs, signer)
    return entry?.pattern === pattern ? [entry] : []
  })
  refusals.count('override', '', '', found.length - entries.length)
  return entries
}

/** Parses an override, `ms json`; undefined: it is malformed, unsigned, or of a newer version. */
export function readOverride(text: string, redisMs: number, signer: Signer): Override | undefined {
  const [ms = ''] = text.split(' ', 1)
  const value = parsed(text.slice(ms.length + 1), MOST_LINE)
  if (!COUNT.test(ms) || !isOverrideRecord(value)) return undefined
  const { pattern, version, node, who, why } = value
  if (value.action !== 'freeze' && text.length > MOST_ENTRY) return undefined
  if (
    !(isControlPattern(pattern) ? CONTROL : MEMBER).test(pattern) ||
    !(node === '' || isName(node)) ||
    !isCount(version)
  )
    return undefined
  const mac: unknown = Reflect.get(value, 'mac')
  if (!signer.verify(typeof mac === 'string' ? mac : '', 'override', overrideParts(value))) return undefined
  const words = { who: cleaned(who, MOST_WORDS), why: cleaned(why, MOST_WORDS) }
  return fromRecord({ ...value, ...words }, redisMs - Number(ms))
}

/** What the signature of an override covers. Its age is not signed: it grows. */
const overrideParts = (record: OverrideRecord): readonly unknown[] => {
  const { pattern, action, version, node, who, why, madeMs, untilMs, shift, down } = record
  const parts = [pattern, action, version, node, who, why, madeMs, untilMs]
  if (down !== undefined) return [...parts, down]
  return shift === undefined ? parts : [...parts, shift.from, shift.to, shift.overMs]
}

/** Parses a head; undefined: a field is missing or malformed, and the hash is rejected. */
export function readHead(kind: Kind, name: string, values: readonly (string | undefined)[]): Head | undefined {
  const [boot = '', region = '', n = '', beat = '', sum = '', mac = ''] = values
  if (!isName(name) || !BOOT.test(boot) || !COUNT.test(n) || !isCount(Number(n))) return undefined
  if (!(kind === 'node' && region === '') && !isName(region)) return undefined
  if (beat.length > MOST_ENTRY) return undefined
  return { kind, name, boot, region, n: Number(n), beat, sum, mac }
}

/** What the signature of a head covers. */
export const headParts = ({ kind, name, boot, region, n, beat, sum }: Omit<Head, 'mac'>): readonly unknown[] => [
  kind,
  name,
  boot,
  region,
  n,
  beat,
  sum,
]

/** A message on a prober's channel. */
export interface ProberMessage {
  readonly changed: boolean
  /** The boot that changed, and the line of its log; empty: the message has none. */
  readonly boot: string
  readonly line: string
}

/** Parses `beat`, `change` or `change boot-id line`. Any other text is a heartbeat's hint: it says nothing. */
export function readMessage(text: string): ProberMessage {
  const [word = '', boot = ''] = text.slice(0, MOST_HEAD).split(' ', 2)
  const line = text.slice(word.length + boot.length + 2)
  return { changed: word === HINTS.change, boot, line }
}

/** `n mac json`. */
export const changeText = ({ n, mac, fields }: ChangeLine): string => `${n} ${mac} ${JSON.stringify(fields)}`

/** Parses a line of a log; undefined: it is malformed. */
export function readChange(line: string): ChangeLine | undefined {
  const [n = '', mac = ''] = line.split(' ', 2)
  const fields = listOf(line.slice(n.length + mac.length + 2), MOST_LINE)
  if (!COUNT.test(n) || fields === undefined || fields.length % 2 !== 0) return undefined
  const texts = fields.filter((field) => typeof field === 'string')
  return texts.length === fields.length ? { n: Number(n), mac, fields: texts } : undefined
}

/** Parses `ms boot-id id mac` by field: decommissioned processes, and the boot under which each was last heard, if any. */
export function readForgotten(fields: Fields, refusals: Refusals, signer: Signer): readonly Forgotten[] {
  const found = pairs(fields)
  const forgotten = found.flatMap(([field, text]): Forgotten[] => {
    const [, bootId = '', id = '', mac = ''] = text.split(' ', 4)
    const process = processOfField(field)
    if (!isName(process.name) || (bootId !== '' && !BOOT.test(bootId)) || !BOOT.test(id)) return []
    return signer.verify(mac, 'forgotten', [field, bootId, id]) ? [{ ...process, bootId, id }] : []
  })
  refusals.count('forgotten', '', '', found.length - forgotten.length)
  return forgotten
}

function listOf(text: string, most: number): readonly unknown[] | undefined {
  const value = parsed(text, most)
  return Array.isArray(value) ? value : undefined
}

/** undefined: too long, or no JSON. */
const parsed = (text: string, most: number): unknown =>
  text.length > most ? undefined : attempt<unknown>(() => JSON.parse(text))

const EVENT_ID = /^[\w.-]{1,63}\.[0-9a-z]{1,12}\.\d{1,12}$/
const EVENT_HEAD = /^\d{1,16} ([0-9a-f]{16}) ([\w-]{1,64}) /

/** Parses the line of an event (lua/event.2.lua); undefined: it is malformed, or not signed. */
export function readEventLine(id: string, line: string, signer: Signer): EventLine | undefined {
  const [first = '', ...others] = line.split('\n')
  const match = EVENT_HEAD.exec(first)
  const text = first.slice(match?.[0].length ?? 0)
  if (match === null || !EVENT_ID.test(id) || text.length > MOST_ENTRY) return undefined
  const [, key, mac] = match
  if (!signer.verify(mac!, 'event', [id, key, text])) return undefined
  const witnesses = others.flatMap((other) => {
    const [witness = '', witnessMac = ''] = other.split(' ')
    return EVENT_ID.test(witness) && signer.verify(witnessMac, 'witness', [key, witness]) ? [witness] : []
  })
  return { id, text, witnesses: [id, ...witnesses] }
}
