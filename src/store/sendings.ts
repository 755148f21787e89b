/**
 * The SendingBoard contract within one process: the same rules as lua/claim.2.lua and lua/sending.1.lua, by this
 * process's clock. One board serves all nodes of a MemoryStore.
 */
import {
  type NodeIdentity,
  type Sending,
  type SendingBoard,
  type Sighting,
  SIGHTING_SLACK_MS,
  SIGHTING_TOGETHER_MS,
} from '../health/store.ts'

/** What was told of something last, and when that had happened. */
interface Told {
  readonly state: string
  readonly atMs: number
  readonly id: string
}

/** Entries of each kind; the oldest go. */
const MOST = 20_000

/** What all nodes of one process have told. */
export class MemorySendings {
  readonly #told = new Map<string, Told>()
  readonly #sendings = new Map<string, Sending>()

  /** The board as one node sees it. */
  board(node: NodeIdentity): SendingBoard {
    return {
      claim: async (id, sightings) => sightings.map((sighting) => this.#claim(node, id, sighting)),
      sendings: async (ids) =>
        new Map(ids.flatMap((id) => (this.#sendings.has(id) ? [[id, this.#sendings.get(id)!] as const] : []))),
      done: async (id, receivers) => {
        const holder = this.#sendings.get(id)?.node.bootId
        if (holder !== undefined && holder !== node.bootId) return false
        this.#send(id, node, receivers)
        return true
      },
      take: async (id, seen) => {
        const now = this.#sendings.get(id)
        if (now !== undefined && now.text !== seen?.text) return false
        this.#send(id, node, seen?.done ?? [])
        return true
      },
    }
  }

  #claim(
    node: NodeIdentity,
    id: string | undefined,
    { about, state, ageMs, sinceAgeMs }: Sighting,
  ): string | undefined {
    const nowMs = performance.now()
    const atMs = nowMs - ageMs
    const told = this.#told.get(about)
    if (told !== undefined && isTold(told, state, atMs, sinceAgeMs === null ? null : nowMs - sinceAgeMs)) return told.id
    if (id === undefined) return undefined
    keep(this.#told, about, { state, atMs, id })
    if (!this.#sendings.has(id)) this.#send(id, node, [])
    return id
  }

  #send(id: string, node: NodeIdentity, done: readonly string[]): void {
    keep(this.#sendings, id, { node, done, text: JSON.stringify([node.name, node.bootId, done]) })
  }
}

/** Whether a change was told: in the same state, and not before the state in between; or something later was. */
function isTold(told: Told, state: string, atMs: number, sinceMs: number | null): boolean {
  if (told.state !== state) return told.atMs > atMs
  if (sinceMs === null) return Math.abs(told.atMs - atMs) <= SIGHTING_TOGETHER_MS
  return told.atMs >= sinceMs - SIGHTING_SLACK_MS
}

function keep<T>(entries: Map<string, T>, key: string, value: T): void {
  entries.delete(key)
  entries.set(key, value)
  if (entries.size <= MOST) return
  for (const oldest of entries.keys()) return void entries.delete(oldest)
}
