/**
 * An explanation in words, for `meridian explain`: who was asked, the answer, then the reasons from the client's place
 * to the TTL; the sites and what is known of them; and the message as it is on the wire. Lines have at most 100
 * columns. docs/guide.md, "Why this answer", describes the lines.
 */
import type { ExplainResponse } from '../../api/explained.ts'
import { typeName } from '../../dns/types.ts'
import type { Explanation, Outcome, Ttl } from '../../explain/explain.ts'
import type { Lookup } from '../../explain/lookups.ts'
import type { SiteExplanation, VipExplanation, ClientPlace, Steering, Step } from '../../explain/steering.ts'
import { assumptionInWords } from '../../explain/what-if.ts'
import type { MemberStatus } from '../../health/node-health.ts'
import { count, formatAge, formatSeconds } from '../../units.ts'
import { table, wrap } from '../output.ts'
import { freezeInWords } from './fleet.ts'
import { detailsOf, leftInWords, marksOf, stateInWords } from './services.ts'

/** An explanation in words. `why`: why no node was asked; empty if one was. `hex`: with the bytes of the message. */
export function explanationInWords(explanation: ExplainResponse, why: string, hex = false): string {
  const { steering } = explanation
  return [
    sourceInWords(explanation, why),
    headOf(explanation),
    '',
    ...(explanation.freeze === null ? [] : row('freeze', freezeInWords(explanation.freeze))),
    ...assumptionsOf(explanation),
    ...(explanation.lookups.length > 0 ? [] : row('name', `not looked up: ${whyNotLookedUp(explanation.type)}`)),
    ...explanation.lookups.flatMap((lookup, i) => row(i === 0 ? 'name' : 'alias', lookupInWords(lookup, explanation))),
    ...(steering === undefined ? [] : steeringInWords(steering)),
    ...row('TTL', ttlInWords(explanation.ttl)),
    ...row('scope', scopeInWords(explanation)),
    ...(steering === undefined ? [] : row('failover', budgetInWords(steering))),
    ...(steering === undefined ? [] : ['', ...sitesInWords(steering)]),
    '',
    ...wireInWords(explanation, hex),
  ].join('\n')
}

function sourceInWords({ source }: ExplainResponse, why: string): string {
  if (source.kind === 'node') return wrap(`node ${source.node}, generation ${source.generation}, view ${source.view}`)
  const but = source.drained === 0 ? '' : `, except ${source.drained} that the files drain`
  return wrap(`files of ${source.zones} (${why}), view ${source.view}: every member is assumed up${but}`)
}

function headOf({ name, type, client, rcode, outcome, scope, ecs, resolver }: Explanation): string {
  const who = ecs ? client : `${resolver}, which sends no client subnet`
  return wrap(`${name} ${type} for ${who}: ${rcode}, ${OUTCOMES[outcome]}${scope === null ? '' : `, scope /${scope}`}`)
}

const whyNotLookedUp = (type: string): string =>
  type === 'AXFR' || type === 'IXFR'
    ? `${type} is answered over TCP to those who may take copies of the zone: docs/transfers.md`
    : `queries of type ${type} are not answered`

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  steered: 'steered',
  records: 'records as written',
  cname: 'only an alias',
  nodata: 'no records of this type',
  nxdomain: 'no such name',
  yxdomain: 'the name that its DNAME makes is longer than 255 bytes',
  delegation: 'delegated',
  any: 'ANY is not answered in full (RFC 8482)',
  refused: 'not answered',
  fault: 'a bug of Meridian',
}

const KEY = '  '
const KEY_WIDTH = 10

/** A line `  key       text`, wrapped. */
const row = (key: string, text: string): string[] =>
  wrap(text, KEY + key.padEnd(KEY_WIDTH), ' '.repeat(KEY.length + KEY_WIDTH)).split('\n')

function assumptionsOf({ down, drain }: Explanation): string[] {
  return [
    ...(down.length === 0 ? [] : row('what if', `${down.join(', ')} were down`)),
    ...(drain.length === 0 ? [] : row('what if', `${drain.join(', ')} were drained`)),
  ]
}

function lookupInWords({ name, found, node, zone, written }: Lookup, { outcome }: Explanation): string {
  const lines = [...new Set(written.map(({ type, at }) => `${type === 0 ? 'GSLB' : typeName(type)} ${at}`))]
  const where = lines.length === 0 ? '' : `: ${lines.join(', ')}`
  switch (found) {
    case 'outside':
      return `${name} is in none of the zones served here${outcome === 'refused' ? ', so the query is refused' : ''}`
    case 'none':
      return `${name} does not exist in the zone ${zone}; the closest existing name is ${node}`
    case 'delegated':
      return `${name} is delegated by the zone ${zone} at ${node}${where}`
    case 'redirected':
      return `${name} is redirected by the DNAME of ${node} in the zone ${zone}${where}`
    case 'empty':
      return `${name} has no records, only names below it (an empty non-terminal), in the zone ${zone}`
    case 'wildcard':
      return `${name} by the wildcard ${node} of the zone ${zone}${where}`
    case 'exact':
      return `${name} in the zone ${zone}${where}`
    default: {
      const never: never = found
      return String(never)
    }
  }
}

function steeringInWords(steering: Steering): string[] {
  const { place, service, written, rule, matched, order, fence, pickBy, walk } = steering
  const by = matched === null ? '' : `, by its ${matched.by} ${matched.text}`
  const fenced = fence ? '; only these sites, no others' : ''
  const own = `none: the service’s own order (${order})`
  return [
    ...(place.folded === null
      ? []
      : row('client', `${place.folded.from} address of ${place.folded.to}, looked up as that`)),
    ...row('place', placeInWords(place)),
    ...(place.asn === null ? [] : row('network', `AS${place.asn.number}: ${sourceOf(place.asn)}`)),
    ...row('service', `${service} (${written}), class ${steering.class}, picks by ${pickBy}`),
    ...row('rule', `${rule === null ? own : `${rule}${by}`}${fenced}`),
    ...stagesOf(walk).flatMap((line) => row('walk', line)),
    ...row('pick', pickInWords(steering)),
    ...(steering.pick === null ? [] : row('VIPs', vipsInWords(steering))),
  ]
}

function placeInWords({
  of,
  continent,
  country,
  subdivision,
  latitude,
  longitude,
  prefix,
  database,
}: ClientPlace): string {
  const codes = [continent, country, subdivision].filter((code) => code !== '').join('-')
  const at = latitude === null || longitude === null ? '' : ` at ${latitude.toFixed(2)}, ${longitude.toFixed(2)}`
  const source = sourceOf({ prefix, database })
  switch (of) {
    case 'client':
      return `${codes === '' ? 'unknown' : codes}${at}: ${source}`
    case 'resolver':
      return `${codes === '' ? 'unknown' : codes}${at}, of the resolver: ${source}`
    case 'node.site':
      return `${codes === '' ? 'unknown' : codes}, so the place of node.site is used${at}: ${source}`
    case 'nobody':
      return `unknown, so sites are in the order of the file: ${source}`
    default: {
      const never: never = of
      return String(never)
    }
  }
}

function sourceOf({ prefix, database }: Pick<ClientPlace, 'prefix' | 'database'>): string {
  if (database === null) return 'no database in use covers its address family'
  const built = database.built === null ? '' : `, built ${database.built.slice(0, 10)}`
  return `${prefix} in ${database.file} (${database.type}${built})`
}

const isEligible = ({ verdict }: Step): boolean => verdict.startsWith('eligible')

/** The walk in lines. Consecutive stages in which no site was eligible for the same reasons are one line. */
function stagesOf(walk: readonly Step[]): readonly string[] {
  const lines: string[] = []
  let passed: { readonly first: string; last: string; readonly why: string } | undefined
  const tell = (): void => {
    if (passed === undefined) return
    const { first, last, why } = passed
    lines.push(`${first === last ? first : `from “${first}” to “${last}”`}: ${why}`)
    passed = undefined
  }
  for (const [stage, steps] of Map.groupBy(walk, (step) => step.stage)) {
    if (steps.some(isEligible)) {
      tell()
      lines.push(...steps.map(stepInWords))
      continue
    }
    const verdicts = Map.groupBy(steps, ({ verdict }) => verdict)
    const why = [...verdicts]
      .map(([verdict, those]) => `${those.map(({ site }) => site).join(', ')}: ${verdict}`)
      .join('; ')
    if (passed?.why === why) passed.last = stage
    else {
      tell()
      passed = { first: stage, last: stage, why }
    }
  }
  tell()
  return lines
}

function stepInWords({ stage, group, site, verdict, score, weight }: Step): string {
  const scored = score === undefined ? '' : `, score ${score.toPrecision(4)} at weight ${weight}`
  return `${stage}: group ${group}, ${site}: ${verdict}${scored}`
}

function pickInWords({ pick, stage, walk, values, lastResort, pickBy }: Steering): string {
  if (values) return 'no site: the last resort answers with its own addresses or name'
  if (pick === null) return lastResort ? 'no site: the last resort is NODATA' : 'no site has a usable VIP of this type'
  const rivals = walk.filter((step) => step.stage === stage && isEligible(step))
  const how =
    rivals.length < 2
      ? 'the first eligible site'
      : `the lowest score of ${rivals.length}, drawn ${pickBy === 'hash' ? 'by a hash of the client’s network' : 'anew for every query'}`
  return `${pick} (${stage}), ${how}${lastResort ? '; by the last resort' : ''}`
}

function vipsInWords({ named, usable, pickBy }: Steering): string {
  const list = named.join(', ')
  if (named.length === 1 && usable === 1) return `${list}, the only usable one of its type`
  if (named.length === usable) return `${list}: all ${usable} usable ones, in random rotation`
  const chosen = pickBy === 'hash' ? 'chosen by a hash of the client’s network' : 'chosen at random'
  return `${list}: ${named.length} of ${usable} usable ones, ${chosen}`
}

function ttlInWords(ttl: Ttl | null): string {
  if (ttl === null) return 'none: there is nothing to cache'
  const { seconds, from, why, maxSeconds, minSeconds, capSeconds, negativeSeconds, unrest } = ttl
  if (negativeSeconds !== null) {
    const zone = `negative answers of this zone live ${negativeSeconds} s`
    return from === 'negative'
      ? `${seconds} s: ${zone}`
      : `${seconds} s, the service’s min, which is less for this steered name: ${zone}`
  }
  if (from === 'record') return `${seconds} s, as written`
  const members = unrest.slice(0, MOST_UNREST).map((one) => {
    const when = one.calmInMs === null ? '' : `, calm in ${formatAge(one.calmInMs)}`
    return `${one.member}: ${one.why}${when}`
  })
  const more = unrest.length > MOST_UNREST ? [`and ${unrest.length - MOST_UNREST} more`] : []
  const who = members.length === 0 ? '' : ` (${[...members, ...more].join('; ')})`
  const cap = capSeconds === null ? '' : `, the name’s own cap ${capSeconds} s`
  const term = from === 'cap' ? 'the name’s own cap' : `the service’s ${from}`
  return `${seconds} s, ${term}: ${why}${who}; max ${maxSeconds} s, min ${minSeconds} s${cap}`
}

const MOST_UNREST = 8

function scopeInWords({ scope, steering, ecs, client }: Explanation): string {
  if (!ecs || scope === null) return 'none: the query has no client subnet'
  const found = steering?.scope
  if (found === undefined) return '/0: the same answer for everybody'
  if (found === null) return `/0: ${client} opts out of ECS, so the resolver’s place counts`
  const hash = found.hashBits === null ? '' : `; no wider than the /${found.hashBits} that was hashed`
  return `/${found.bits}: all of /${found.walkBits} is in this class${hash}; caches may reuse the answer for ${found.caches}`
}

function budgetInWords({ budget: { detectMs, spreadMs, ttlMs, totalMs } }: Steering): string {
  if (detectMs === null || totalMs === null) return 'never: there is no check, so a dead site is not noticed'
  return `${formatSeconds(totalMs)} at worst: ${formatSeconds(detectMs)} to detect it, ${formatSeconds(spreadMs)} until all nodes know, TTL ${formatSeconds(ttlMs)}`
}

function sitesInWords({ sites, service, health }: Steering): string[] {
  const marks = health === null ? [] : leftInWords(health)
  const heads = table(sites.map(siteRow), KEY).split('\n')
  return [
    `sites of ${service} in this client’s order${marks.length === 0 ? '' : `: ${marks.join(', ')}`}`,
    ...sites.flatMap((site, i) => [heads[i]!, ...memberRows(site)]),
  ]
}

function siteRow({ group, site, distanceKm, bias, biasedKm, weight, capacity, consulted }: SiteExplanation): string[] {
  const far = distanceKm === null ? '-' : `${Math.round(distanceKm)} km`
  const biased = bias === 0 || biasedKm === null ? '' : ` (${Math.round(biasedKm)} by bias ${bias})`
  return [`${group}`, site, far + biased, `weight ${weight}`, `capacity ${capacity}`, consulted ? '' : 'not looked at']
}

/** The members of a site; those that the walk did not look at have one line each. */
function memberRows({ vips, consulted }: SiteExplanation): string[] {
  const heads = table(vips.map(vipRow), VIP).split('\n')
  if (vips.length === 0) return []
  return vips.flatMap(({ health }, i) => {
    const details = consulted && health !== null ? [...detailsOf(health), ...quorumOf(health)] : []
    return [heads[i]!, ...details]
  })
}

/** How many votes it takes, a line for each different quorum of the member's checks; nearly always one. */
function quorumOf({ targets }: MemberStatus): string[] {
  const lines = targets.map(({ quorum: { asked, downNeeds, upNeeds } }) => {
    return `${VIP}  quorum of ${count(asked, 'prober')}: DOWN takes ${downNeeds}, UP takes ${upNeeds}`
  })
  return [...new Set(lines)]
}

/** The indent of members: that of `status` less two, as detailsOf() continues below. */
const VIP = '    '

function vipRow({ address, state, share, calm, named, assumed, health }: VipExplanation): string[] {
  const marks = [
    ...(named ? ['in the answer'] : []),
    ...(assumed === null ? [] : [assumptionInWords(assumed)]),
    ...marksOf({
      held: health?.held === true,
      dissent: health?.dissent,
      braked: health?.braked === true,
      frozen: health?.frozen === true,
      calm,
      share,
    }),
  ]
  const since = health === null || assumed !== null ? '' : `for ${formatAge(health.ageMs)}`
  return [address, stateInWords(state), ...(health === null ? [] : [since]), marks.join(', ')]
}

function wireInWords({ wire }: ExplainResponse, hex: boolean): string[] {
  const { transport, udpBytes, truncated, flags, question, answer, authority, additional, edns, bytes } = wire
  const size = truncated
    ? `truncated over UDP (TC, ${count(udpBytes, 'byte')}); ${count(bytes, 'byte')} over TCP`
    : `${count(bytes, 'byte')} over ${transport.toUpperCase()}`
  const opt =
    edns === null ? [] : [`;; OPT payload ${edns.payload}${edns.ecs === null ? '' : `, client subnet ${edns.ecs}`}`]
  return [
    `;; ${size}, flags ${flags.join(' ')}`,
    ...opt,
    ...section(
      'QUESTION',
      question.map((line) => `;${line}`),
    ),
    ...section('ANSWER', answer),
    ...section('AUTHORITY', authority),
    ...section('ADDITIONAL', additional),
    ...(hex ? ['', ...hexLines(wire.hex)] : []),
  ]
}

const section = (name: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`;; ${name}`, ...lines]

/** The bytes, 16 a line, each line with its offset. */
const hexLines = (hex: string): string[] =>
  (hex.match(/.{1,32}/g) ?? []).map(
    (line, i) => `${(i * 16).toString(16).padStart(4, '0')}  ${(line.match(/../g) ?? []).join(' ')}`,
  )
