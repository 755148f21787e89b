/**
 * The two sides of the contract over one Post each. What isn't part of a node's own hash, overrides and forgotten probers,
 * is tried again at each heartbeat until Redis has taken it, and overrides again when Redis has lost what the node said.
 */
import { indexKey, OVERRIDES_KEY } from './keys.ts'
import { type Override, standsOver } from './override.ts'
import type { Post } from './redis-post.ts'
import { FORGET, OVERRIDE } from './redis-script.ts'
import { knownText, nodeBeatText, overrideArguments, proberBeatText, voteText } from './redis-text.ts'
import type { Client } from './redis-connect.ts'
import type { Board, NodeBoard } from './store.ts'

export const proberBoard = (post: Post): Board => ({
  replace: (votes) => post.replace(votes.map((vote) => [vote.target, voteText(vote)])),
  change: (vote) => post.change([[vote.target, voteText(vote)]]),
  retire: (targets) => post.change(targets.map((target) => [target, undefined])),
  heartbeat: (beat) => post.beat(beat.sequence, proberBeatText(beat)),
})

/** `attempt` runs a command where Redis can be used, and says whether it was done. */
export function nodeBoard(
  post: Post,
  channel: string,
  attempt: (command: (client: Client) => Promise<unknown>) => Promise<boolean>,
): NodeBoard {
  const overrides = new Map<string, Override>()
  const unsaid = new Set<string>()
  const forgotten = new Set<string>()

  async function put(): Promise<void> {
    const patterns = [...unsaid]
    const entries = patterns.map((pattern) => overrides.get(pattern)!)
    const args = [channel, ...entries.flatMap(overrideArguments)]
    if (entries.length === 0 || !(await attempt((client) => OVERRIDE.run(client, [OVERRIDES_KEY], args)))) return
    for (const [index, pattern] of patterns.entries())
      if (overrides.get(pattern) === entries[index]) unsaid.delete(pattern)
  }

  async function leave(): Promise<void> {
    for (const prober of forgotten)
      if (await attempt((client) => FORGET.run(client, [indexKey('prober')], [channel, prober])))
        forgotten.delete(prober)
  }

  post.onMissing = () => {
    for (const pattern of overrides.keys()) unsaid.add(pattern)
    void put()
  }
  return {
    heartbeat: async (beat) => {
      await post.beat(beat.sequence, nodeBeatText(beat))
      await put()
      await leave()
    },
    know: (changes) =>
      post.change([...changes].map(([member, known]) => [member, known === undefined ? undefined : knownText(known)])),
    override: async (entries) => {
      for (const entry of entries) {
        const known = overrides.get(entry.pattern)
        if (known !== undefined && !standsOver(entry, known)) continue
        overrides.set(entry.pattern, entry)
        unsaid.add(entry.pattern)
      }
      await put()
    },
    forget: async (prober) => {
      forgotten.add(prober)
      await leave()
    },
  }
}
