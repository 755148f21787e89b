/**
 * Protection against floods with spoofed on-link source addresses. A reply to an on-link client whose link address
 * (MAC) the kernel does not know waits in the kernel for up to 3 s, charged to the socket's send buffer. An attacker
 * who sends queries from addresses of dead neighbours would fill that buffer, and nobody would be answered; and would
 * fill the kernel's neighbour table, which then drops live neighbours. So replies to *unresolved neighbours* may use
 * only a little of the send buffer.
 *
 *   main thread    netlink ─ 4 times a second ─▶ one table for each family, in shared memory
 *   answering thread                             client ─▶ unresolved? ─▶ reply sent if the buffer has `room`
 *
 * A client that is not on-link is never unresolved, nor is a neighbour whose link address the kernel knows. An honest
 * neighbour's is known before its first query, because it asked for ours with its own (RFC 826; RFC 4861 §7.2.3). A
 * client behind a router whose address looks on-link may be taken for one, which costs nothing while there is no flood.
 */
import type { Log } from '../config.ts'
import type { Linux } from '../linux/calls.ts'
import { type LinkAddress, type Neighbour, Netlink } from '../linux/netlink.ts'

/** The table of each family, in memory shared with the answering threads. */
export interface NeighbourTables {
  readonly 4: Int32Array
  readonly 6: Int32Array
}

const REFRESH_MS = 250
/** During a flood: how long a neighbour that has just been resolved may still be taken for unresolved. */
const REFRESH_IN_FLOOD_MS = 20
/** How often the machine's own addresses are read: they change seldom. */
const ADDRESSES_MS = 5_000
/**
 * Bytes of a send buffer, as the kernel counts them, that replies to unresolved neighbours may use: more than a batch.
 */
const ROOM = 96 << 10
/**
 * During a flood, for all sockets of a family: some 40 replies in 3 s. The kernel keeps 512 neighbours (gc_thresh2).
 */
const ROOM_IN_FLOOD = 32 << 10
/** At least one reply at a time. */
const LEAST_ROOM = 2 << 10
/** So many waiting neighbours are a flood. A few wait at any time. */
const FLOOD_NEIGHBOURS = 16
/** A flood counts as over this long after its last sign, because it may come in waves. */
const FLOOD_MS = 30_000

// A table, in 32-bit words: the index of the current half, a seed, and two halves. The main thread writes one half
// while the threads read the other. A thread so slow that it reads a half while it is rewritten misjudges a single
// reply.
const CURRENT = 0
const SEED = 1
const HALVES = 2
// A half: room, number of prefixes, a bit for each value of one address byte that occurs in a prefix (most clients need
// no further check), prefixes (address, mask), a hash table of resolved addresses (open addressing, 0 = free).
const H_ROOM = 0
const H_PREFIXES = 1
const H_BYTES = 2
const H_PREFIX = H_BYTES + 8
const MAX_PREFIXES = 64
const SLOTS = 1 << 13
const MAX_RESOLVED = SLOTS / 2

type Family = keyof NeighbourTables
/** The byte of an address that is checked first: one that differs between most clients. */
const firstByteOf = (words: number): number => (words === 1 ? 0 : 3)
const wordsOf = (family: Family): number => (family === 4 ? 1 : 4)
const slotsAt = (words: number): number => H_PREFIX + MAX_PREFIXES * 2 * words
const halfWords = (words: number): number => slotsAt(words) + SLOTS * words

/** Empty tables: no client is unresolved. */
export const makeNeighbourTables = (): NeighbourTables => ({ 4: makeTable(4), 6: makeTable(6) })

function makeTable(family: Family): Int32Array {
  const cells = new Int32Array(new SharedArrayBuffer((HALVES + 2 * halfWords(wordsOf(family))) * 4))
  cells[CURRENT] = HALVES
  cells[SEED] = Math.floor(Math.random() * 0x1_0000_0000) | 0
  return cells
}

/** The slot of the address at ints[at…]; if it is not in the table, the empty slot where it would be. */
function slotOf(cells: Int32Array, half: number, words: number, ints: Int32Array, at: number): number {
  let hash = cells[SEED]!
  for (let w = 0; w < words; w++) {
    hash = Math.imul(hash ^ ints[at + w]!, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  const slots = half + slotsAt(words)
  for (let n = hash & (SLOTS - 1); ; n = (n + 1) & (SLOTS - 1)) {
    const slot = slots + n * words
    let w = 0
    let bits = 0
    while (w < words && cells[slot + w] === ints[at + w]) bits |= cells[slot + w++]!
    if (w === words && bits !== 0) return slot
    for (bits = 0, w = 0; w < words; w++) bits |= cells[slot + w]!
    if (bits === 0) return slot
  }
}

const isEmpty = (cells: Int32Array, slot: number, words: number): boolean => {
  for (let w = 0; w < words; w++) if (cells[slot + w] !== 0) return false
  return true
}

/** An answering thread's view of a table. */
export class Neighbours {
  readonly #cells: Int32Array
  readonly #words: number
  /** Position, in bits, of the byte that is checked first, within the address's first word. */
  readonly #shift: number

  constructor(tables: NeighbourTables, family: Family) {
    this.#cells = tables[family]
    this.#words = wordsOf(family)
    this.#shift = 8 * firstByteOf(this.#words)
  }

  /** How many bytes the send buffer may hold with one more reply to an unresolved neighbour. */
  room(): number {
    return this.#cells[this.#cells[CURRENT]! + H_ROOM]!
  }

  /** Whether a client is an unresolved neighbour. Its address begins at ints[at], in network order. */
  isUnresolved(ints: Int32Array, at: number): boolean {
    const cells = this.#cells
    const half = cells[CURRENT]!
    const byte = (ints[at]! >>> this.#shift) & 255
    if (((cells[half + H_BYTES + (byte >>> 5)]! >>> (byte & 31)) & 1) === 0) return false
    return this.#isOnLinkUnresolved(cells, half, ints, at)
  }

  #isOnLinkUnresolved(cells: Int32Array, half: number, ints: Int32Array, at: number): boolean {
    const words = this.#words
    let prefix = half + H_PREFIX
    for (let left = cells[half + H_PREFIXES]!; left > 0; left--, prefix += 2 * words) {
      let w = 0
      while (w < words && (ints[at + w]! & cells[prefix + words + w]!) === cells[prefix + w]) w++
      if (w === words) return isEmpty(cells, slotOf(cells, half, words, ints, at), words)
    }
    return false
  }
}

/** The content of a table. */
export interface Neighbourhood {
  readonly addresses: readonly LinkAddress[]
  readonly neighbours: readonly Neighbour[]
  readonly room: number
}

/** Replaces the table of a family. Only the main thread calls it. */
export function writeNeighbours(
  tables: NeighbourTables,
  family: Family,
  { addresses, neighbours, room }: Neighbourhood,
): void {
  const cells = tables[family]
  const words = wordsOf(family)
  const bytes = words * 4
  const half = cells[CURRENT] === HALVES ? HALVES + halfWords(words) : HALVES
  cells.fill(0, half, half + halfWords(words))
  const scratch = new Int32Array(words)
  const put = (address: Uint8Array): Int32Array => {
    new Uint8Array(scratch.buffer).set(address)
    return scratch
  }
  cells[half + H_ROOM] = room
  const mask = new Int32Array(words)
  const addPrefix = (address: Uint8Array, bits: number): void => {
    const count = cells[half + H_PREFIXES]!
    const maskBytes = new Uint8Array(mask.buffer)
    for (let i = 0; i < bytes; i++) maskBytes[i] = 0xff00 >> Math.max(0, Math.min(8, bits - i * 8))
    const prefix = half + H_PREFIX + count * 2 * words
    const net = put(address).map((word, w) => word & mask[w]!)
    if (count === MAX_PREFIXES || isCovered(cells, half, words, net)) return
    cells.set(net, prefix)
    cells.set(mask, prefix + words)
    cells[half + H_PREFIXES] = count + 1
    const at = firstByteOf(words)
    const byte = new Uint8Array(net.buffer)[at]!
    const last = byte | (0xff >> Math.max(0, Math.min(8, bits - at * 8)))
    for (let value = byte; value <= last; value++) cells[half + H_BYTES + (value >>> 5)]! |= 1 << (value & 31)
  }
  const own = addresses.filter(({ address }) => address.length === bytes)
  for (const { address, bits, resolves } of own.toSorted((a, b) => a.bits - b.bits)) {
    if (resolves && bits < bytes * 8) addPrefix(address, bits)
  }
  let resolved = 0
  const addResolved = (address: Uint8Array): void => {
    if (resolved++ < MAX_RESOLVED) cells.set(put(address), slotOf(cells, half, words, put(address), 0))
  }
  for (const { address } of own) addResolved(address) // our own addresses need no link address
  for (const { address, state } of neighbours) {
    if (address.length !== bytes) continue
    if (state === 'resolved') addResolved(address)
    // we have no address in this link's prefix (DHCPv6, for example), but the kernel resolves addresses there: it is
    // on-link
    else addPrefix(address, family === 4 ? 24 : 64)
  }
  Atomics.store(cells, CURRENT, half)
}

function isCovered(cells: Int32Array, half: number, words: number, net: Int32Array): boolean {
  for (let i = 0; i < cells[half + H_PREFIXES]!; i++) {
    const prefix = half + H_PREFIX + i * 2 * words
    if (net.every((word, w) => (word & cells[prefix + words + w]!) === cells[prefix + w])) return true
  }
  return false
}

const NOBODY: Neighbourhood = { addresses: [], neighbours: [], room: 0 }

const areSame = (some: readonly Neighbour[], others: readonly Neighbour[]): boolean =>
  some.length === others.length &&
  some.every(({ address, state }, i) => {
    const other = others[i]!
    return state === other.state && address.every((byte, at) => byte === other.address[at])
  })

/** Updates the tables from netlink, on the main thread, until stop(). */
export class NeighbourWatch {
  readonly tables: NeighbourTables = makeNeighbourTables()
  readonly #netlink: Netlink | undefined
  readonly #sockets: Readonly<Record<Family, number>>
  readonly #log: Log
  readonly #floodUntilMs = { 4: -Infinity, 6: -Infinity }
  readonly #flooded = { 4: false, 6: false }
  #addresses: readonly LinkAddress[] = []
  #addressesAtMs = -Infinity
  readonly #written: Record<Family, Neighbourhood> = { 4: NOBODY, 6: NOBODY }
  #timer: NodeJS.Timeout | undefined
  #failing = false

  /** `sockets`: how many sockets answer each family. */
  constructor(calls: Linux, sockets: Readonly<Record<Family, number>>, log: Log) {
    this.#sockets = sockets
    this.#log = log
    try {
      this.#netlink = new Netlink(calls)
    } catch (error) {
      log('warn', 'the kernel does not tell its neighbours: a flood from dead on-link addresses may cost replies', {
        error,
      })
      return
    }
    this.#refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#netlink?.close()
  }

  /** Reads netlink and writes the tables. After an error they stay as they were. */
  #refresh(): void {
    try {
      const nowMs = performance.now()
      if (nowMs - this.#addressesAtMs > ADDRESSES_MS) {
        this.#addresses = this.#netlink!.addresses()
        this.#addressesAtMs = nowMs
      }
      const neighbours = this.#netlink!.neighbours()
      for (const family of [4, 6] as const) {
        const room = this.#roomFor(family, neighbours, nowMs)
        this.#write(family, { addresses: this.#addresses, neighbours, room })
      }
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#log('warn', 'the kernel does not tell its neighbours now', { error })
      this.#failing = true
    }
    const flooded = this.#flooded[4] || this.#flooded[6]
    this.#timer = setTimeout(() => this.#refresh(), flooded ? REFRESH_IN_FLOOD_MS : REFRESH_MS)
  }

  /** Writes a table if it has changed; mostly it has not, and writing costs more than comparing. */
  #write(family: Family, next: Neighbourhood): void {
    const { addresses, neighbours, room } = this.#written[family]
    if (addresses === next.addresses && room === next.room && areSame(neighbours, next.neighbours)) return
    writeNeighbours(this.tables, family, next)
    this.#written[family] = next
  }

  #roomFor(family: Family, neighbours: readonly Neighbour[], nowMs: number): number {
    const bytes = wordsOf(family) * 4
    const waiting = neighbours.filter(({ address, state }) => state === 'waiting' && address.length === bytes).length
    if (waiting >= FLOOD_NEIGHBOURS) this.#floodUntilMs[family] = nowMs + FLOOD_MS
    const flooded = nowMs < this.#floodUntilMs[family]
    if (flooded && !this.#flooded[family]) {
      this.#log('warn', 'a flood from addresses of our own links that do not answer: replies to such are limited', {
        family: `IPv${family}`,
        waiting,
      })
    } else if (!flooded && this.#flooded[family]) {
      this.#log('info', 'the flood from addresses of our own links is over', { family: `IPv${family}` })
    }
    this.#flooded[family] = flooded
    return flooded ? Math.max(LEAST_ROOM, Math.floor(ROOM_IN_FLOOD / this.#sockets[family])) : ROOM
  }
}
