/**
 * What all servers of the peers bench are given alike: eight sites with one VIP each, 1,000 names that are steered to
 * the nearest site, and 8,000 clients, each the /24 at the start of a network of the database that has coordinates,
 * every network equally likely. Everything comes from one seed: two runs ask the same questions.
 */
import { readFileSync } from 'node:fs'
import { Reader, type CityResponse } from 'maxmind'

export interface Site {
  readonly name: string
  readonly latitude: number
  readonly longitude: number
  readonly vip: string
}

/** VIPs are loopback addresses, so that the servers' health checks reach a real site. */
export const SITES: readonly Site[] = [
  { name: 'fra', latitude: 50.11, longitude: 8.68, vip: '127.77.1.1' },
  { name: 'iad', latitude: 38.95, longitude: -77.45, vip: '127.77.1.2' },
  { name: 'sin', latitude: 1.36, longitude: 103.99, vip: '127.77.1.3' },
  { name: 'sjc', latitude: 37.36, longitude: -121.93, vip: '127.77.1.4' },
  { name: 'gru', latitude: -23.43, longitude: -46.47, vip: '127.77.1.5' },
  { name: 'nrt', latitude: 35.76, longitude: 140.39, vip: '127.77.1.6' },
  { name: 'jnb', latitude: -26.13, longitude: 28.23, vip: '127.77.1.7' },
  { name: 'syd', latitude: -33.95, longitude: 151.18, vip: '127.77.1.8' },
]

export const ZONE = 'bench.example'
export const CLIENT_COUNT = 8000

/** Steered names, relative to ZONE. */
export const NAMES: readonly string[] = Array.from({ length: 1000 }, (_, i) => `n${String(i).padStart(3, '0')}`)

export interface Client {
  /** First address of its /24, as a number. */
  readonly address: number
  readonly latitude: number
  readonly longitude: number
  readonly country: string
  readonly subdivision: string | undefined
  readonly city: string | undefined
}

/** xorshift32: the same figures in every run. */
export function makeRandom(seed: number): () => number {
  let x = seed
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 2 ** 32
  }
}

export const dotted = (address: number): string =>
  `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`

/** CLIENT_COUNT distinct /24s that have a country and coordinates. */
export function pickClients(database: string, random: () => number): Client[] {
  const file = readFileSync(database)
  const reader = new Reader<CityResponse>(file)
  const networks = networksV4(file, reader.metadata)
  const taken = new Set<number>()
  const clients: Client[] = []
  while (clients.length < CLIENT_COUNT) {
    const address = (networks[Math.floor(random() * networks.length)]! & 0xffffff00) >>> 0
    const place = reader.get(dotted(address))
    if (taken.has(address) || place?.location === undefined || place.country === undefined) continue
    taken.add(address)
    clients.push({
      address,
      latitude: place.location.latitude,
      longitude: place.location.longitude,
      country: place.country.iso_code,
      subdivision: place.subdivisions?.[0]?.iso_code,
      city: place.city?.names.en,
    })
  }
  return clients
}

/** First addresses of all IPv4 networks of a MaxMind database that have a record: leaves of its search tree. */
function networksV4(file: Buffer, metadata: Reader<CityResponse>['metadata']): Uint32Array {
  const { nodeCount, recordSize, ipVersion } = metadata
  const nodeBytes = recordSize / 4
  // MaxMind DB format 2.0: 24 bits plain, 28 bits with the high nibbles of both records in the middle byte, 32 bits plain.
  const child = (node: number, right: 0 | 1): number => {
    const at = node * nodeBytes
    if (recordSize === 24) return file.readUIntBE(at + right * 3, 3)
    if (recordSize === 32) return file.readUInt32BE(at + right * 4)
    const middle = file[at + 3]!
    return file.readUIntBE(at + right * 4, 3) + (right === 0 ? (middle >>> 4) * 2 ** 24 : (middle & 15) * 2 ** 24)
  }
  let root = 0
  for (let depth = ipVersion === 6 ? 96 : 0; depth > 0 && root < nodeCount; depth--) root = child(root, 0)
  const found: number[] = []
  const visit = (node: number, prefix: number, depth: number): void => {
    if (node < nodeCount) {
      visit(child(node, 0), prefix, depth + 1)
      visit(child(node, 1), prefix + 2 ** (31 - depth), depth + 1)
    } else if (node > nodeCount) found.push(prefix)
  }
  visit(root, 0, 0)
  return Uint32Array.from(found)
}

/** Kilometres on a sphere. */
export function haversineKm(latitude1: number, longitude1: number, latitude2: number, longitude2: number): number {
  const rad = Math.PI / 180
  const a =
    Math.sin(((latitude2 - latitude1) * rad) / 2) ** 2 +
    Math.cos(latitude1 * rad) * Math.cos(latitude2 * rad) * Math.sin(((longitude2 - longitude1) * rad) / 2) ** 2
  return 2 * 6371.0088 * Math.asin(Math.min(1, Math.sqrt(a)))
}

/** Sites by distance, nearest first, with kilometres. */
export const ranked = (client: Client): { site: Site; km: number }[] =>
  SITES.map((site) => ({
    site,
    km: haversineKm(client.latitude, client.longitude, site.latitude, site.longitude),
  })).toSorted((a, b) => a.km - b.km)

/** A query for A; with a client, EDNS (1232 bytes) and its network as ECS of `source` bits; with `cookie`, that option (RFC 7873 §4), too. */
export function encodeQuery(name: string, client?: number, source = 24, cookie?: Buffer): Buffer {
  const labels = `${name}.${ZONE}`
    .split('.')
    .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`))
  const header = Buffer.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, client === undefined ? 0 : 1])
  const parts: Buffer[] = [header, ...labels, Buffer.from([0, 0, 1, 0, 1])]
  if (client !== undefined) {
    const prefix = Buffer.alloc(4 + Math.ceil(source / 8), 0)
    prefix.set([0, 1, source])
    for (let i = 4; i < prefix.length; i++) prefix[i] = client >>> (24 - 8 * (i - 4))
    const options: Buffer[] = [
      encodeOption(ECS, prefix),
      ...(cookie === undefined ? [] : [encodeOption(COOKIE, cookie)]),
    ]
    const opt = Buffer.alloc(11)
    opt.writeUInt16BE(41, 1)
    opt.writeUInt16BE(1232, 3)
    opt.writeUInt16BE(
      options.reduce((sum, { length }) => sum + length, 0),
      9,
    )
    parts.push(opt, ...options)
  }
  return Buffer.concat(parts)
}

const ECS = 8
const COOKIE = 10

function encodeOption(code: number, data: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16BE(code, 0)
  head.writeUInt16BE(data.length, 2)
  return Buffer.concat([head, data])
}

export interface Reply {
  readonly id: number
  readonly rcode: number
  readonly addresses: readonly string[]
  readonly ttlSeconds: number
  /** Scope of the ECS option; undefined without one. */
  readonly scope: number | undefined
  /** The client's cookie and the server's; undefined without the option. */
  readonly cookie: Buffer | undefined
}

/** Reads a reply of one of the servers under test (no stranger's bytes): A records, ECS scope and cookie. */
export function decodeReply(packet: Buffer): Reply {
  const skipName = (at: number): number => {
    while (packet[at]! !== 0) {
      if (packet[at]! >= 192) return at + 2
      at += packet[at]! + 1
    }
    return at + 1
  }
  let at = skipName(12) + 4
  const records = packet.readUInt16BE(6) + packet.readUInt16BE(8) + packet.readUInt16BE(10)
  const addresses: string[] = []
  let scope: number | undefined
  let cookie: Buffer | undefined
  let ttlSeconds = 0
  for (let i = 0; i < records; i++) {
    at = skipName(at)
    const type = packet.readUInt16BE(at)
    const end = at + 10 + packet.readUInt16BE(at + 8)
    if (type === 1) {
      addresses.push(dotted(packet.readUInt32BE(at + 10)))
      ttlSeconds = packet.readUInt32BE(at + 4)
    }
    for (let o = type === 41 ? at + 10 : end; o < end; o += 4 + packet.readUInt16BE(o + 2)) {
      if (packet.readUInt16BE(o) === ECS) scope = packet[o + 7]!
      if (packet.readUInt16BE(o) === COOKIE) cookie = packet.subarray(o + 4, o + 4 + packet.readUInt16BE(o + 2))
    }
    at = end
  }
  return { id: packet.readUInt16BE(0), rcode: packet[3]! & 15, addresses, ttlSeconds, scope, cookie }
}
