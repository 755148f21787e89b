/**
 * RFC 1034 §4.3.2 as naively as it can be written: zones are lists of records in text, every step is a search through
 * them. And random zones for it, small and crowded, so that wildcards, empty non-terminals, cuts and aliases meet.
 */
import type { Random } from '../fuzz/packets.ts'

export interface Rrset {
  /** `a.b.z0.test.` */
  readonly owner: string
  readonly type: string
  readonly ttlSeconds: number
  readonly values: readonly string[]
}

export interface Zone {
  readonly apex: string
  readonly sets: readonly Rrset[]
  /** As it stands in negative answers. */
  readonly soa: string
}

export interface Reply {
  readonly rcode: string
  readonly aa: boolean
  readonly answer: readonly string[]
  readonly authority: readonly string[]
  readonly additional: readonly string[]
}

const lines = (set: Rrset, owner = set.owner): string[] =>
  set.values.map((value) => `${owner} ${set.ttlSeconds} IN ${set.type} ${value}`)
const parent = (name: string): string => name.slice(name.indexOf('.') + 1)
const isBelow = (name: string, above: string): boolean => name.endsWith(`.${above}`)

/** What must come back; undefined for a loop or a chain of more than 8, where servers may stop as they like. */
export function resolve(zones: readonly Zone[], name: string, type: string, hops = 0): Reply | undefined {
  const zone = zones.find(({ apex }) => name === apex || isBelow(name, apex))
  const nothing = { answer: [], authority: [], additional: [] }
  if (zone === undefined) return { ...nothing, rcode: hops === 0 ? 'REFUSED' : 'NOERROR', aa: hops > 0 }
  const find = (owner: string, of: string): Rrset | undefined =>
    zone.sets.find((set) => set.owner === owner && set.type === of)
  const cut = zone.sets
    .filter((set) => set.type === 'NS' && set.owner !== zone.apex)
    .find((set) => name === set.owner || isBelow(name, set.owner))
  if (cut !== undefined && !(cut.owner === name && type === 'DS')) {
    const known = zones.flatMap(({ sets }) => sets).filter((set) => set.type === 'A' || set.type === 'AAAA')
    const additional = known.filter((set) => cut.values.includes(set.owner)).flatMap((set) => lines(set))
    return { rcode: 'NOERROR', aa: hops > 0, answer: [], authority: lines(cut), additional }
  }
  const exists = (owner: string): boolean => zone.sets.some((set) => set.owner === owner || isBelow(set.owner, owner))
  let source = name
  const dname = zone.sets.find((set) => set.type === 'DNAME' && isBelow(name, set.owner))
  if (dname !== undefined) {
    // RFC 6672 §3.2; a name that has become too long is not followed
    const target = dname.values[0]!
    const made = name.slice(0, -dname.owner.length) + target
    const own = lines(dname)
    if (made.length > 254) return { ...nothing, rcode: 'YXDOMAIN', aa: true, answer: own }
    own.push(`${name} ${dname.ttlSeconds} IN CNAME ${made}`)
    if (type === 'CNAME' || type === 'ANY') return { ...nothing, rcode: 'NOERROR', aa: true, answer: own }
    const rest = hops === 7 ? undefined : resolve(zones, made, type, hops + 1)
    if (rest === undefined) return undefined
    // each RR is in an answer once, also if it redirects twice
    return { ...rest, aa: true, answer: [...own, ...rest.answer.filter((line) => line !== own[0])] }
  }
  if (!exists(name)) {
    let encloser = parent(name)
    while (!exists(encloser)) encloser = parent(encloser)
    source = `*.${encloser}`
    if (!exists(source)) return { ...nothing, rcode: 'NXDOMAIN', aa: true, authority: [zone.soa] }
  }
  const nodata: Reply = { ...nothing, rcode: 'NOERROR', aa: true, authority: [zone.soa] }
  if (type === 'ANY') {
    if (!zone.sets.some((set) => set.owner === source)) return nodata
    const cname = find(source, 'CNAME') // RFC 8482 §4.2: no HINFO beside a CNAME
    if (cname !== undefined) return { ...nothing, rcode: 'NOERROR', aa: true, answer: lines(cname, name) }
    return { ...nothing, rcode: 'NOERROR', aa: true, answer: [`${name} 3600 IN HINFO "RFC8482" ""`] }
  }
  const set = find(source, type)
  if (set !== undefined) return { ...nothing, rcode: 'NOERROR', aa: true, answer: lines(set, name) }
  const alias = find(source, 'CNAME')
  if (alias === undefined) return nodata
  const rest = hops === 7 ? undefined : resolve(zones, alias.values[0]!, type, hops + 1)
  return rest === undefined ? undefined : { ...rest, aa: true, answer: [...lines(alias, name), ...rest.answer] }
}

const LABELS = ['a', 'b', 'c', '_t', '*']
const OUTSIDE = 'ns.outside.example.'

/** A name of one to four labels in a zone. */
export function randomName(random: Random, apex: string): string {
  const depth = 1 + random(4)
  return `${Array.from({ length: depth }, () => LABELS[random(LABELS.length)]!).join('.')}.${apex}`
}

/** Zones that the loader takes: nothing beside a CNAME, nothing but glue below a cut, nothing below a DNAME. */
export function randomZones(random: Random, count: number): Zone[] {
  const apexes = Array.from({ length: count }, (_, i) => `z${i}.test.`)
  return apexes.map((apex) => {
    let sets: Rrset[] = [{ owner: apex, type: 'NS', ttlSeconds: 3600, values: [OUTSIDE] }]
    for (let n = 3 + random(12); n > 0; n--) {
      const owner = randomName(random, apex)
      const covered = sets.some(
        ({ owner: at, type }) =>
          (type === 'NS' && at !== apex && (at === owner || isBelow(owner, at))) ||
          (type === 'DNAME' && isBelow(owner, at)),
      )
      const here = sets.filter((set) => set.owner === owner)
      if (covered || here.some((set) => set.type === 'CNAME')) continue
      const turn = random(9)
      if (turn === 8 && !owner.startsWith('*') && !here.some((set) => set.type === 'DNAME')) {
        sets = sets.filter((set) => !isBelow(set.owner, owner))
        const target = randomName(random, apexes[random(3) > 0 ? apexes.indexOf(apex) : random(count)]!)
        const value = random(9) === 0 ? 'outside.example.' : target
        sets.push({ owner, type: 'DNAME', ttlSeconds: 1 + random(100_000), values: [value] })
      } else if (turn === 0 && !owner.includes('*')) {
        const glue = `ns.${owner}`
        sets = sets.filter((set) => set.owner !== owner && !isBelow(set.owner, owner))
        sets.push({
          owner,
          type: 'NS',
          ttlSeconds: 1 + random(100_000),
          values: random(2) === 0 ? [glue] : [OUTSIDE, glue],
        })
        sets.push({ owner: glue, type: random(2) === 0 ? 'A' : 'AAAA', ttlSeconds: 1 + random(100_000), values: [] })
      } else if (turn < 3 && here.length === 0) {
        const target = randomName(random, apexes[random(3) > 0 ? apexes.indexOf(apex) : random(count)]!)
        sets.push({
          owner,
          type: 'CNAME',
          ttlSeconds: 1 + random(100_000),
          values: [random(9) === 0 ? 'www.outside.example.' : target],
        })
      } else if (turn < 8) {
        const type = ['A', 'A', 'TXT', 'MX'][random(4)]!
        const value = {
          A: `192.0.2.${random(256)}`,
          TXT: `"t${random(1000)}"`,
          MX: `${random(100)} mail.outside.example.`,
        }[type]!
        if (turn > 2 && !here.some((set) => set.type === type))
          sets.push({ owner, type, ttlSeconds: 1 + random(100_000), values: [value] })
      }
    }
    const glued = sets.map((set) => {
      if (set.values.length > 0) return set
      return { ...set, values: [set.type === 'A' ? `198.51.100.${random(256)}` : `2001:db8::${1 + random(9999)}`] }
    })
    return {
      apex,
      sets: glued,
      soa: `${apex} 60 IN SOA ns1.example.com. hostmaster.example.com. 7 7200 900 1209600 60`,
    }
  })
}

const valueYaml = (set: Rrset, text: string): string => {
  const [first, second] = text.split(' ')
  if (set.type === 'MX') return `{preference: ${first}, exchange: ${second}}`
  return JSON.stringify(set.type === 'TXT' ? text.slice(1, -1) : text)
}

/** A zone as the YAML that says it, names and values quoted. */
export function zoneYaml(zone: Zone): string {
  const byOwner = Map.groupBy(zone.sets, (set) => set.owner)
  return [...byOwner]
    .map(([owner, sets]) => {
      const name = owner === zone.apex ? '' : owner.slice(0, -zone.apex.length - 1)
      const records = sets.map((set) => {
        const values = set.values.map((text) => valueYaml(set, text)).join(', ')
        return `{type: ${set.type}, ttl: ${set.ttlSeconds}, values: [${values}]}`
      })
      return `${JSON.stringify(name)}: [${records.join(', ')}]\n`
    })
    .join('')
}
