/** The Image finds what a naive reference finds: names, closest enclosers, zones, cuts, wildcards and their RRsets. */
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { formatName, hashName, parseName, suffixHashes } from '../../src/dns/name.ts'
import {
  F_APEX,
  F_CNAME,
  F_CUT,
  find,
  findRRset,
  type Image,
  N_APEX,
  N_CUT,
  N_FIRST,
  N_FLAGS,
  N_NAME,
  N_STEERED,
  N_WILD,
  namesIn,
  NEGATIVE_SOA,
  NODE_INTS,
  R_AT,
  R_COUNT,
  R_SIZE,
  R_TYPE,
  RRSET_INTS,
  S_SERVICE,
  S_TTL,
  S_TYPES,
} from '../../src/zone/image.ts'
import { buildImage } from '../../src/zone/link.ts'
import { Packer, type ZoneModel } from '../../src/zone/pack.ts'
import { recordsOf } from '../support/records.ts'
import { type Found, lookUp, type ReferenceZone, suffixes } from './reference.ts'

const at = { file: 'test', line: 1, column: 1 }
/** As a pool gives it: larger than asked, and full of what was there before. */
function allocate(bytes: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes + 64)
  new Uint8Array(buffer).fill(0xa5)
  return buffer
}

function wire(name: string): Uint8Array {
  const parsed = parseName(name)
  if ('fault' in parsed) throw new Error(parsed.fault)
  return parsed
}

/** RDATA says which set it belongs to, so that a mix-up shows. */
const rdataOf = (owner: string, type: number): Uint8Array[] =>
  Array.from({ length: (type % 3) + 1 }, (_, i) =>
    namesIn(type) > 0 ? wire(`n${i}.t${type}.${owner}`) : new TextEncoder().encode(`${owner} ${type} ${i}`),
  )
const soaOf = (apex: string): Uint8Array => Buffer.concat([wire(`soa.${apex}`), wire(`mail.${apex}`), Buffer.alloc(20)])

function pack({ apex, owners }: ReferenceZone): ZoneModel {
  const packer = new Packer()
  for (const [owner, types] of owners) {
    packer.begin(wire(owner))
    for (const type of types) {
      if (type === 0) packer.addSteered(`service of ${owner}`, 3, 20, at)
      else packer.add(type, 300, rdataOf(owner, type), at)
    }
  }
  const soa = { rdata: soaOf(apex), ttlSeconds: 3600, negativeTtlSeconds: 60 }
  return { apex: wire(apex), ...packer.finish(), soa, at }
}

const build = (zones: readonly ReferenceZone[]): Image => {
  const services = zones.flatMap((zone) => [...zone.owners.keys()]).map((owner) => `service of ${owner}`)
  return buildImage(zones.map(pack), new Map(services.toSorted().map((name, i) => [name, i])), allocate)
}

const nameOf = (image: Image, node: number): string | undefined =>
  node < 0 ? undefined : formatName(image.bytes, image.nodes[node * NODE_INTS + N_NAME]).slice(0, -1)

/** find() on the name, then one label up, and so on: what the answering path does. */
function deepest(image: Image, name: string): number {
  const bytes = wire(name)
  const hashes = suffixHashes(bytes, image.seed)
  for (let label = 0, start = 0; label < hashes.length; start += 1 + bytes[start]!, label++) {
    const node = find(image, bytes, start, bytes.length - start, hashes[label]!)
    if (node >= 0) return image.nodes[node * NODE_INTS + N_APEX]! < 0 ? -1 : node
  }
  return -1
}

function typesAt(image: Image, node: number): number[] {
  const types: number[] = image.nodes[node * NODE_INTS + N_STEERED]! < 0 ? [] : [0]
  const end = image.nodes[(node + 1) * NODE_INTS + N_FIRST]!
  for (let i = image.nodes[node * NODE_INTS + N_FIRST]!; i < end; i++)
    types.push(image.rrsets[i * RRSET_INTS + R_TYPE]!)
  return types
}

function seen(image: Image, name: string): Found | undefined {
  const node = deepest(image, name)
  if (node < 0) return undefined
  const cell = (offset: number): number => image.nodes[node * NODE_INTS + offset]!
  return {
    name: nameOf(image, node)!,
    apex: nameOf(image, cell(N_APEX))!,
    cut: nameOf(image, cell(N_CUT)),
    wildcard: nameOf(image, cell(N_WILD)),
    types: typesAt(image, node).filter((type) => type !== 6 && type !== NEGATIVE_SOA),
  }
}

const label = fc.constantFrom('a', 'b', 'c', '*', 'longer-label')
const relative = fc.array(label, { minLength: 0, maxLength: 4 }).map((labels) => labels.join('.'))
const under = (apex: string, name: string): string => (name === '' ? apex : `${name}.${apex}`)
const typesList = fc.uniqueArray(fc.constantFrom(0, 1, 2, 5, 16, 28, 257), { minLength: 1, maxLength: 4 })
const zonesArbitrary: fc.Arbitrary<ReferenceZone[]> = fc
  .uniqueArray(fc.constantFrom('z', 'a.z', 'b.z', 'c.b.z', 'a.c.b.z', 'a.b.c.y', '*.z'), { minLength: 1, maxLength: 4 })
  .chain((apexes) =>
    fc.tuple(
      ...apexes.map((apex) =>
        fc.array(fc.tuple(relative, typesList), { maxLength: 12 }).map((owners) => ({
          apex,
          owners: new Map(owners.map(([name, types]) => [under(apex, name), types.toSorted((a, b) => a - b)])),
        })),
      ),
    ),
  )
const asked = fc
  .tuple(relative, fc.constantFrom('z', 'a.z', 'b.z', 'c.b.z', 'y', 'b.c.y', 'x'))
  .map(([a, b]) => under(b, a))

test('random zones, nested ones too: the deepest existing name and its links are those of the reference', () => {
  fc.assert(
    fc.property(zonesArbitrary, fc.array(asked, { minLength: 1, maxLength: 20 }), (zones, names) => {
      const image = build(zones)
      for (const name of [...names, ...zones.flatMap((zone) => [...zone.owners.keys()])]) {
        const expected = lookUp(zones, name)
        const types = expected?.types.toSorted((a, b) => a - b)
        expect(seen(image, name), name).toEqual(expected && { ...expected, types })
      }
    }),
    { numRuns: 400 },
  )
})

test('random zones: every RRset stands in the Image as it goes out, sorted by type', () => {
  fc.assert(
    fc.property(zonesArbitrary, (zones) => {
      const image = build(zones)
      for (const zone of zones) {
        for (const [owner, types] of zone.owners) {
          if (lookUp(zones, owner)!.apex !== zone.apex) continue
          const node = deepest(image, owner)
          for (const type of types.filter((other) => other !== 0)) {
            const records = rdataOf(owner, type).map((rdata) => record(type, 300, rdata))
            expect(rrset(image, node, type)).toEqual({ count: records.length, bytes: Buffer.concat(records) })
          }
          const sorted = typesAt(image, node)
          expect(sorted).toEqual(sorted.toSorted((a, b) => a - b))
        }
      }
    }),
    { numRuns: 200 },
  )
})

function record(type: number, ttl: number, rdata: Uint8Array): Buffer {
  const head = Buffer.from([0xc0, 0x0c, type >> 8, type & 255, 0, 1, 0, 0, ttl >> 8, ttl & 255, 0, rdata.length])
  return Buffer.concat([head, rdata])
}

function rrset(image: Image, node: number, type: number): { count: number; bytes: Buffer } {
  const set = findRRset(image, node, type)
  const from = image.rrsets[set + R_AT]!
  let size = 0
  for (let left = image.rrsets[set + R_COUNT]!; left > 0; left--)
    size += 12 + Buffer.from(image.bytes).readUInt16BE(from + size + 10)
  if (namesIn(image.rrsets[set + R_TYPE]!) === 0) expect(image.rrsets[set + R_SIZE]).toBe(size)
  const bytes = Buffer.from(image.bytes.slice(from, from + size))
  return { count: image.rrsets[set + R_COUNT]!, bytes }
}

test('an apex carries its SOA twice: with its own TTL, and with that of negative answers', () => {
  const image = build([{ apex: 'example.com', owners: new Map([['example.com', [2]]]) }])
  const apex = deepest(image, 'example.com')
  expect(rrset(image, apex, 6)).toEqual({ count: 1, bytes: record(6, 3600, soaOf('example.com')) })
  expect(rrset(image, apex, NEGATIVE_SOA)).toEqual({ count: 1, bytes: record(6, 60, soaOf('example.com')) })
  expect(findRRset(image, apex, 1)).toBe(-1)
})

test('flags and steered entries', () => {
  const owners = new Map([
    ['z', [2]],
    ['cut.z', [2]],
    ['alias.z', [5]],
    ['www.z', [0, 16]],
  ])
  const image = build([{ apex: 'z', owners }])
  const flags = (name: string): number =>
    image.nodes[deepest(image, name) * NODE_INTS + N_FLAGS]! & (F_APEX | F_CUT | F_CNAME)
  expect(['z', 'cut.z', 'alias.z', 'www.z'].map(flags)).toEqual([F_APEX, F_CUT, F_CNAME, 0])
  const entry = image.nodes[deepest(image, 'www.z') * NODE_INTS + N_STEERED]!
  expect([S_SERVICE, S_TYPES, S_TTL].map((i) => image.steered[entry * 3 + i])).toEqual([2, 3, 20])
})

test('a hash that matches is not enough: the bytes are compared', () => {
  const image = build([{ apex: 'z', owners: new Map([['abc.z', [1]]]) }])
  const name = wire('abd.z')
  expect(find(image, name, 0, name.length, hashName(wire('abc.z'), image.seed))).toBe(-1)
  const longer = wire('abc.z.z')
  expect(find(image, longer, 0, longer.length, hashName(wire('abc.z'), image.seed))).toBe(-1)
})

test('many names, most of them ENTs: growth loses none, parents stand before children, load stays at most one half', () => {
  const owners = new Map(Array.from({ length: 5000 }, (_, i) => [`n.a${i}.b${i}.z`, [1]]))
  const image = build([{ apex: 'z', owners }])
  expect(image.names).toBe(1 + 3 * 5000)
  expect(image.deepest).toBe(4)
  expect(image.table.length / 2).toBeGreaterThanOrEqual(2 * image.names)
  for (const owner of owners.keys()) {
    const nodes = suffixes(owner).map((suffix) => deepest(image, suffix))
    expect(nodes).toEqual(nodes.toSorted((a, b) => b - a))
    expect(nodes.map((node) => nameOf(image, node))).toEqual(suffixes(owner))
  }
})

test('recordsOf gives back what was packed', () => {
  const zone = pack({ apex: 'z', owners: new Map([['www.z', [0, 1, 16]]]) })
  expect(
    Array.from(recordsOf(zone), ({ type, ttlSeconds, rdata, steered }) => ({ type, ttlSeconds, rdata, steered })),
  ).toEqual([
    { type: 6, ttlSeconds: 3600, rdata: [soaOf('z')], steered: undefined },
    { type: 0, ttlSeconds: 20, rdata: [], steered: { service: 'service of www.z', types: 3, ttlSeconds: 20 } },
    { type: 1, ttlSeconds: 300, rdata: rdataOf('www.z', 1), steered: undefined },
    { type: 16, ttlSeconds: 300, rdata: rdataOf('www.z', 16), steered: undefined },
  ])
})

test('each process hashes names by a seed of its own', async () => {
  const image = build([])
  vi.resetModules()
  const again = await import('../../src/zone/link.ts')
  const other = again.buildImage([], new Map(), allocate)
  expect(other.seed).not.toBe(image.seed)
})
