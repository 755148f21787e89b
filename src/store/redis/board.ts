/**
 * The two sides of the contract over one Post each. What isn't part of a node's own hash, overrides and forgotten probers,
 * is tried again at each heartbeat until Redis has taken it, and overrides again when Redis has lost what the node said.
 */
import { type Override, supersedes } from '../../health/override.ts'
import type { Board, NodeBoard } from '../../health/store.ts'
import type { Client } from './connect.ts'
import { FORGOTTEN_KEY, hashKey, HINTS, indexKey, OVERRIDES_KEY } from './keys.ts'
import { FORGET, OVERRIDE } from './scripts.ts'
import type { Signer } from './signer.ts'
import { knownText, nodeBeatText, overrideArguments, proberBeatText, readOverride, voteText } from './text.ts'
import type { Post } from './writer.ts'

export const proberBoard = (post: Post): Board => ({
  replace: (votes) => post.replace(votes.map((vote) => [vote.target, voteText(vote)])),
  change: (vote) => post.change([[vote.target, voteText(vote)]]),
  retire: (targets) => post.change(targets.map((target) => [target, undefined])),
  heartbeat: (beat) => post.beat(beat.sequence, proberBeatText(beat)),
})

export interface NodeDesk {
  readonly channel: string
  readonly signer: Signer
  /** Runs a command where Redis can be used; why it was not done. */
  attempt(command: (client: Client) => Promise<unknown>): Promise<string | undefined>
  /** The boot id under which a prober was heard last. */
  bootOf(prober: string): string
}

export function nodeBoard(post: Post, desk: NodeDesk): NodeBoard {
  const { channel, signer } = desk
  const overrides = new Map<string, Override>()
  const unsaid = new Set<string>()
  const forgotten = new Set<string>()

  /** What stands for the patterns that were put up; rejects when they were not taken. */
  async function put(): Promise<readonly Override[]> {
    const patterns = [...unsaid]
    if (patterns.length === 0) return []
    const entries = patterns.map((pattern) => overrides.get(pattern)!)
    const args = [channel, ...entries.flatMap((entry) => overrideArguments(entry, signer))]
    let stand: readonly string[] = []
    const trouble = await desk.attempt(async (client) => (stand = await OVERRIDE.list(client, [OVERRIDES_KEY], args)))
    if (trouble !== undefined) throw new Error(trouble)
    for (const [index, pattern] of patterns.entries())
      if (overrides.get(pattern) === entries[index]) unsaid.delete(pattern)
    return stand.map((text) => readOverride(text, signer)).filter((entry) => entry !== undefined)
  }

  async function leave(): Promise<void> {
    for (const prober of forgotten) {
      const keys = [indexKey('prober'), FORGOTTEN_KEY]
      const boot = desk.bootOf(prober)
      const args = [channel, HINTS.forgotten, prober, boot, signer.sign('forgotten', [prober, boot])]
      const trouble = await desk.attempt((client) => FORGET.run(client, [...keys, hashKey('prober', prober)], args))
      if (trouble !== undefined) throw new Error(trouble)
      forgotten.delete(prober)
    }
  }

  post.onMissing = () => {
    for (const pattern of overrides.keys()) unsaid.add(pattern)
    void put().catch(() => {})
  }
  return {
    heartbeat: async (beat) => {
      await post.beat(beat.sequence, nodeBeatText(beat))
      // what is not taken now is put up with the next beat
      await put().catch(() => {})
      await leave().catch(() => {})
    },
    know: (changes) =>
      post.change([...changes].map(([member, known]) => [member, known === undefined ? undefined : knownText(known)])),
    override: (entries) => {
      for (const entry of entries) {
        const known = overrides.get(entry.pattern)
        if (known === undefined || supersedes(entry, known)) overrides.set(entry.pattern, entry)
        unsaid.add(entry.pattern)
      }
      return put()
    },
    forget: async (prober) => {
      forgotten.add(prober)
      await leave()
    },
  }
}
