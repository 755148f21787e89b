/**
 * What the fuzzers of all transports share. A lane is one transport, and has a window of packets in flight: while the server
 * answers one, the next is made.
 *
 *   make 1 ─▶ exchange 1 ─ send ─▶ … ─▶ replies ─▶ judged ─▶ CPU time of the server's thread ─▶ exchange 2 …
 *                              make 2 ┘
 *
 * A window is small enough to cost the thread less than what one packet may. One that costs more is sent again, and if it does so
 * each time, in halves, connections too, until the packet is found.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NextQuery } from './messages.ts'
import type { Random } from './packets.ts'
import type { Served } from './served.ts'

/** A run, with its findings. */
export interface Run {
  readonly random: Random
  readonly next: NextQuery
  readonly tell: Tell
}

/** Takes a finding. */
export type Tell = (what: string, bytes: Uint8Array) => void

/** One transport. What is sent are items: datagrams, connections, requests. */
export interface Lane<Item> {
  /** The thread that answers. */
  readonly thread: string
  /** How many items a window has, and how many packets an item. */
  readonly items: number
  readonly packets: number
  make(): Item | Promise<Item>
  /** Sends items, and tells what is wrong with their replies. Resolves when nothing more comes. */
  exchange(items: readonly Item[]): Promise<void>
  /** The halves of an item that has several packets. */
  halve?(item: Item): readonly Item[]
  /** An item in a finding. */
  bytesOf(item: Item): Uint8Array
  end(): void
}

/** CPU time of a thread that one packet may take, its connection included, in ms. */
export const SLOW_MS = 5
/** How often a window, and a single item, is sent again: what garbage or others on the machine cost is not there each time. */
const WINDOW_TRIES = 5
const ITEM_TRIES = 20
/** The CPU time of a thread is known when it sleeps. */
const ASLEEP_MS = 2

/** No clock of the server is further from ours while a window is answered. */
export const SLACK_SECONDS = 60
export const nowSeconds = (): number => Math.floor(Date.now() / 1000)

/** Sends windows until `isOver`, which is asked with the number of packets. `dearestMs`: the most CPU time of one. */
export async function runLane<Item>(
  served: Pick<Served, 'cpuMs'>,
  lane: Lane<Item>,
  isOver: (packets: number) => boolean,
  tell: Tell,
): Promise<{ readonly packets: number; readonly dearestMs: number }> {
  const make = async (): Promise<Item[]> => {
    const items: Item[] = []
    // oxlint-disable-next-line no-await-in-loop -- the server answers meanwhile
    while (items.length < lane.items) items.push(await lane.make())
    return items
  }
  const costMs = async (items: readonly Item[]): Promise<number> => {
    const fromMs = served.cpuMs(lane.thread)
    await lane.exchange(items)
    await sleep(ASLEEP_MS)
    return served.cpuMs(lane.thread) - fromMs
  }
  const halve = (item: Item): readonly Item[] => lane.halve?.(item) ?? []
  let packets = 0
  let dearestMs = 0
  for (let window = await make(); !isOver(packets);) {
    const fromMs = served.cpuMs(lane.thread)
    const exchanged = lane.exchange(window)
    // oxlint-disable-next-line no-await-in-loop -- one window at a time is the bound on the load
    const [next] = await Promise.all([make(), exchanged])
    packets += window.length * lane.packets
    const ms = served.cpuMs(lane.thread) - fromMs
    if (ms <= SLOW_MS) dearestMs = Math.max(dearestMs, ms)
    // oxlint-disable-next-line no-await-in-loop
    else
      for (const [item, least] of await findSlow(window, costMs, halve))
        tell(`${least} ms of CPU time`, lane.bytesOf(item))
    window = next
  }
  return { packets, dearestMs }
}

/**
 * The items that cost more than SLOW_MS each time, with the least that they cost. `costMs`: sends some, and returns the cost of
 * them all.
 */
async function findSlow<Item>(
  items: readonly Item[],
  costMs: (items: readonly Item[]) => Promise<number>,
  halve: (item: Item) => readonly Item[],
): Promise<(readonly [item: Item, ms: number])[]> {
  const most = items.length === 1 ? ITEM_TRIES : WINDOW_TRIES
  let least = Number.POSITIVE_INFINITY
  // oxlint-disable-next-line no-await-in-loop -- one after another
  for (let tries = 0; tries < most && least > SLOW_MS; tries++) least = Math.min(least, await costMs(items))
  if (least <= SLOW_MS) return []
  const parts = items.length === 1 ? halve(items[0]!) : items
  if (parts.length === 0) return [[items[0]!, least]]
  const half = parts.length >> 1
  return [
    ...(await findSlow(parts.slice(0, half), costMs, halve)),
    ...(await findSlow(parts.slice(half), costMs, halve)),
  ]
}
