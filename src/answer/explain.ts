/**
 * Why an answer is what it is: asks respond() itself, with a trace, and tells the place, the rule, the sites in the order
 * of the client's class, the walk, the pick, and the answer as it stands on the wire. What is explained can't differ from
 * what is served.
 */
import { formatAddress, parseAddress } from '../dns/address.ts'
import { decodeMessage, encodeQuery, formatRr } from '../dns/message.ts'
import { formatName, isFault, parseName } from '../dns/name.ts'
import { typeNumber } from '../dns/types.ts'
import { distanceKm } from '../geo/distance.ts'
import { placeOf } from '../geo/place.ts'
import { DOWN, healthWord, isCalm, shareOf, stateOf, type HealthTable } from '../health/table.ts'
import { makeCounters } from '../metrics.ts'
import { groupsOf } from '../policy/map.ts'
import { STAGES, type Trace } from '../policy/select.ts'
import type { SteeredService } from '../policy/service.ts'
import { makeResponder, respond, TCP, type Responder } from './answer.ts'
import type { ExplainContext } from './build.ts'
import type { World } from './world.ts'

export interface ExplainQuestion {
  readonly name: string
  /** An address; the whole of it is the ECS source prefix. */
  readonly client: string
  /** Mnemonic, e.g. `A`. */
  readonly type: string
  /** Sites to take for down. */
  readonly down: readonly string[]
  /** Decides rotation and random picks; any 32 bits. */
  readonly chance?: number
}

export interface Explanation {
  readonly name: string
  readonly type: string
  readonly client: string
  readonly rcode: string
  readonly answer: readonly string[]
  /** ECS scope of the answer, in bits. */
  readonly scope: number
  /** undefined: the name is not steered for this type. */
  readonly steering?: Steering
}

export interface Steering {
  readonly service: string
  readonly place: {
    readonly continent: string
    readonly country: string
    readonly subdivision: string
    /** Degrees; null = unknown. */
    readonly latitude: number | null
    readonly longitude: number | null
    /** Bits of the database's prefix. */
    readonly depth: number
  }
  /** The rule that matched, as `file:line`; null = the service's own order. */
  readonly rule: string | null
  readonly fence: boolean
  readonly class: number
  readonly sites: readonly ExplainedSite[]
  readonly walk: readonly Step[]
  /** Site that is named; null = none. */
  readonly pick: string | null
  /** Which stage of the walk ended it; null = none did. */
  readonly stage: string | null
  readonly lastResort: boolean
  /** A hash of the client's network was consulted, so the scope is not wider than that. */
  readonly hashed: boolean
  /** Every member consulted is calm. */
  readonly calm: boolean
  readonly ttlSeconds: number
  /** Whether that is the service's longest, and not its shortest. */
  readonly ttlIsLongest: boolean
}

export interface ExplainedSite {
  readonly site: string
  /** 1-based place in the client's order; equal numbers share. */
  readonly group: number
  /** Great circle from the client's place, unbiased; null without a place. */
  readonly distanceKm: number | null
  readonly bias: number
  readonly weight: number
  readonly capacity: number
  readonly vips: readonly {
    readonly address: string
    readonly state: string
    readonly share: number
    readonly calm: boolean
  }[]
}

export interface Step {
  readonly stage: string
  readonly group: number
  readonly site: string
  readonly verdict: string
  /** In its group's rendezvous; the least wins. */
  readonly score?: number
}

const STATE_NAMES = ['unproven', 'up', 'down', 'drained', 'forced down']

/** Explains what this World and this health answer now. A string says what is wrong with the question. */
export function explain(
  world: World,
  live: HealthTable,
  context: ExplainContext,
  question: ExplainQuestion,
): Explanation | string {
  const address = parseAddress(question.client)
  if (address === undefined) return `“${question.client}” is no IP address`
  const type = typeNumber(question.type.toUpperCase())
  if (type === undefined) return `“${question.type}” is no record type`
  const name = parseName(question.name.endsWith('.') ? question.name : `${question.name}.`)
  if (isFault(name)) return name.fault
  const unknown = question.down.filter((site) => !context.sites.has(site))
  if (unknown.length > 0) return `no such site: ${unknown.join(', ')}; sites: ${[...context.sites.keys()].join(', ')}`
  const health = question.down.length > 0 ? withSitesDown(world, live, question.down) : live

  const family = address.length === 4 ? 4 : 6
  const query = encodeQuery({
    name: formatName(name),
    type: question.type.toUpperCase(),
    edns: { payload: 65_535, ecs: `${question.client}/${family === 4 ? 32 : 128}` },
  })
  const responder = makeResponder(world, health, makeCounters())
  responder.chance = question.chance ?? 0
  const walk: Step[] = []
  responder.trace = makeTrace(responder, walk)
  const out = new Uint8Array(65_535)
  const size = respond(responder, query, 0, query.length, address, 0, family, TCP, out, 0, out.length)
  const message = decodeMessage(out.subarray(0, size))
  if (isFault(message)) return `the answer can't be read: ${message.fault}`
  const told: Explanation = {
    name: question.name,
    type: question.type.toUpperCase(),
    client: formatAddress(address),
    rcode: message.rcode,
    answer: message.answer.map(formatRr),
    scope: message.edns?.ecs?.scope ?? 0,
  }
  const { steered } = responder
  return steered === undefined || walk.length === 0
    ? told
    : { ...told, steering: steering(responder, steered, context, address, walk) }
}

function makeTrace(responder: Responder, walk: Step[]): Trace {
  const nameOf = (site: number): string => responder.steered!.siteNames[site]!
  return {
    site: (stage, group, site, verdict) =>
      void walk.push({ stage: STAGES[stage]!.name, group: group + 1, site: nameOf(site), verdict }),
    score: (_stage, _site, score) => {
      walk.push({ ...walk.pop()!, score })
    },
  }
}

function steering(
  responder: Responder,
  service: SteeredService,
  context: ExplainContext,
  address: Uint8Array,
  walk: readonly Step[],
): Steering {
  const { client, selection, world, health } = responder
  const found = groupsOf(world.maps[service.map]!, client.class)
  const model = context.services.find(({ name }) => name === service.name)!
  const place = placeOf(context.places, address)
  const rule = model.rules[found.rule] // −1: none
  const sites = found.groups.flatMap((group, number) =>
    group.map((site): ExplainedSite => {
      const name = service.siteNames[site]!
      const { latitude, longitude } = context.sites.get(name)!
      const away = Number.isNaN(place.latitude)
        ? null
        : Math.round(distanceKm(place.latitude, place.longitude, latitude, longitude))
      return {
        site: name,
        group: number + 1,
        distanceKm: away,
        bias: model.sites.find((own) => own.site === name)!.bias,
        weight: service.weight[site]!,
        capacity: service.capacity[site]!,
        vips: vipsOf(service, site, health),
      }
    }),
  )
  return {
    service: service.name,
    place: {
      ...place,
      latitude: Number.isNaN(place.latitude) ? null : place.latitude,
      longitude: Number.isNaN(place.longitude) ? null : place.longitude,
    },
    rule: rule === undefined ? null : `${rule.at.file}:${rule.at.line}`,
    fence: found.fence,
    class: client.class,
    sites,
    walk,
    pick: selection.site < 0 ? null : service.siteNames[selection.site]!,
    stage: selection.stage < 0 ? null : STAGES[selection.stage]!.name,
    lastResort: selection.lastResort,
    hashed: selection.hashed,
    calm: selection.calm,
    ttlSeconds: selection.ttlSeconds,
    ttlIsLongest: selection.ttlSeconds === service.ttlMaxSeconds,
  }
}

function vipsOf(service: SteeredService, site: number, health: HealthTable): ExplainedSite['vips'] {
  const vips = []
  for (let vip = service.firstVip[site]!; vip < service.firstVip[site + 1]!; vip++) {
    const word = health[service.slot[vip]!]!
    const size = vip < service.firstV6[site]! ? 4 : 16
    vips.push({
      address: formatAddress(service.address, vip * 16, size),
      state: STATE_NAMES[stateOf(word)] ?? 'unknown',
      share: shareOf(word),
      calm: isCalm(word),
    })
  }
  return vips
}

/** A copy of the table in which all members of these sites are down. */
function withSitesDown(world: World, live: HealthTable, sites: readonly string[]): HealthTable {
  const health = live.slice()
  for (const service of world.services) {
    for (const [site, name] of service.siteNames.entries()) {
      if (!sites.includes(name)) continue
      for (let vip = service.firstVip[site]!; vip < service.firstVip[site + 1]!; vip++) {
        health[service.slot[vip]!] = healthWord(DOWN, 1000, false)
      }
    }
  }
  return health
}
