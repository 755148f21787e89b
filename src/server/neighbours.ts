/**
 * Which clients are neighbours that may not answer. A reply to an on-link client whose link address the kernel does not
 * know waits in the kernel for up to 3 s, charged to the send buffer of its socket: whoever sends in the names of dead
 * neighbours fills that buffer, and nobody is answered any more; and it fills the kernel's table of neighbours, from which
 * live ones are then thrown out. Such a client is a *stranger* here: replies to strangers get little room in the buffer.
 *
 *   main thread    netlink ─ 4 times a second ─▶ one table for each family, in shared memory
 *   answering thread                             client ─▶ stranger? ─▶ reply sent if the socket holds less than `room`
 *
 * A client that is not on-link is never a stranger, nor is a neighbour that the kernel has resolved: an honest one is,
 * before its first query, since it asked for our link address with its own (RFC 826; RFC 4861 §7.2.3). Wrong guesses, of a
 * subnet behind a router whose addresses look on-link, cost nothing while no flood is on.
 */
import type { Log } from '../config.ts'
import type { Linux } from '../linux/calls.ts'
import { type LinkAddress, type Neighbour, Netlink } from '../linux/netlink.ts'

/** Shared with the answering threads. */
export interface NeighbourTables {
  readonly 4: Int32Array
  readonly 6: Int32Array
}

const REFRESH_MS = 250
/** A neighbour that has just come loses this much at most. */
const REFRESH_IN_FLOOD_MS = 20
/** Addresses of the machine change seldom. */
const ADDRESSES_MS = 5_000
/** Bytes of a send buffer, as the kernel counts them, that replies to strangers may use: more than a batch of them. */
const ROOM = 96 << 10
/** In a flood, over all sockets of a family: some 40 replies for 3 s. The table of neighbours holds 512 at ease. */
const ROOM_IN_FLOOD = 32 << 10
/** A reply at a time, at the least. */
const LEAST_ROOM = 2 << 10
/** So many neighbours that do not answer are a flood. A link has some such at any time. */
const FLOOD_NEIGHBOURS = 16
/** After the last sign of it: it may come in waves. */
const FLOOD_MS = 30_000

// A table, in 32-bit words: where the half begins that is to be read, a seed, and two halves. The main thread writes one
// while threads read the other; a thread that is so slow that it reads on into the writing judges one reply wrongly.
const CURRENT = 0
const SEED = 1
const HALVES = 2
// a half: room, count of prefixes, a bit for each value of one byte of addresses that some prefix has (most clients need no
// further look), prefixes (address, mask), hash table of resolved addresses (open addressing, 0 = none)
const H_ROOM = 0
const H_PREFIXES = 1
const H_BYTES = 2
const H_PREFIX = H_BYTES + 8
const MAX_PREFIXES = 64
const SLOTS = 1 << 13
const MAX_RESOLVED = SLOTS / 2

type Family = keyof NeighbourTables
/** The byte of an address that is looked at first: one that differs between clients of the world. */
const firstByteOf = (words: number): number => (words === 1 ? 0 : 3)
const wordsOf = (family: Family): number => (family === 4 ? 1 : 4)
const slotsAt = (words: number): number => H_PREFIX + MAX_PREFIXES * 2 * words
const halfWords = (words: number): number => slotsAt(words) + SLOTS * words

export const makeNeighbourTables = (): NeighbourTables => ({ 4: makeTable(4), 6: makeTable(6) })

function makeTable(family: Family): Int32Array {
  const cells = new Int32Array(new SharedArrayBuffer((HALVES + 2 * halfWords(wordsOf(family))) * 4))
  cells[CURRENT] = HALVES
  cells[SEED] = Math.floor(Math.random() * 0x1_0000_0000) | 0
  return cells
}

/** Of the address at `at`: which slot it is in, or the empty one where it would be. */
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

/** An answering thread's sight of a table. */
export class Neighbours {
  readonly #cells: Int32Array
  readonly #words: number
  /** Of the first byte to look at within an address's first word. */
  readonly #shift: number

  constructor(tables: NeighbourTables, family: Family) {
    this.#cells = tables[family]
    this.#words = wordsOf(family)
    this.#shift = 8 * firstByteOf(this.#words)
  }

  /** Bytes that a socket's send buffer may hold when a reply to a stranger is added. */
  room(): number {
    return this.#cells[this.#cells[CURRENT]! + H_ROOM]!
  }

  /** `ints[at]`: where the client's address begins, in network order. */
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

/** What a table is made of. */
export interface Neighbourhood {
  readonly addresses: readonly LinkAddress[]
  readonly neighbours: readonly Neighbour[]
  readonly room: number
}

/** Replaces the table of a family. The main thread's. */
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
  for (const { address } of own) addResolved(address) // never on a link
  for (const { address, state } of neighbours) {
    if (address.length !== bytes) continue
    if (state === 'resolved') addResolved(address)
    // a link without an address of ours in its prefix, such as after DHCPv6: what is asked for there is on-link
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

/** Keeps the tables fresh, on the main thread. */
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

  /** `sockets`: how many answer each family. */
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

  /** What can't be read now stays as it was. */
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

  /** Mostly nothing has changed, and to write costs more than to read. */
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
