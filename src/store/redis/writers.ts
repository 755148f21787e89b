/**
 * The two sides of the contract over one Post each. What isn't part of a node's own hash, overrides and forgotten probers,
 * is tried again at each heartbeat until Redis has taken it, and overrides again when Redis has lost what the node said.
 */
import { type Override, supersedes } from '../../health/override.ts'
import type { ProberWriter, NodeWriter } from '../../health/store.ts'
import type { Client } from './connect.ts'
import { FORGOTTEN_KEY, hashKey, HINTS, indexKey, OVERRIDES_KEY } from './keys.ts'
import { FORGET, OVERRIDE } from './scripts.ts'
import type { Signer } from './signer.ts'
import { knownText, nodeBeatText, overrideArguments, proberBeatText, readOverride, voteText } from './text.ts'
import type { HashWriter } from './writer.ts'

export const makeProberWriter = (writer: HashWriter): ProberWriter => ({
  replace: (votes) => writer.replace(votes.map((vote) => [vote.target, voteText(vote)])),
  change: (vote) => writer.change([[vote.target, voteText(vote)]]),
  retire: (targets) => writer.change(targets.map((target) => [target, undefined])),
  heartbeat: (beat) => writer.beat(beat.sequence, proberBeatText(beat)),
})

export interface NodeWriterContext {
  readonly channel: string
  readonly signer: Signer
  /** Runs a command where Redis can be used; why it was not done. */
  attempt(command: (client: Client) => Promise<unknown>): Promise<string | undefined>
  /** The boot id under which a prober was heard last. */
  bootOf(prober: string): string
}

export function makeNodeWriter(writer: HashWriter, context: NodeWriterContext): NodeWriter {
  const { channel, signer } = context
  const overrides = new Map<string, Override>()
  const unsent = new Set<string>()
  const forgotten = new Set<string>()

  /** What stands for the patterns that were put up; rejects when they were not taken. */
  async function writeOverrides(): Promise<readonly Override[]> {
    const patterns = [...unsent]
    if (patterns.length === 0) return []
    const entries = patterns.map((pattern) => overrides.get(pattern)!)
    const args = [channel, ...entries.flatMap((entry) => overrideArguments(entry, signer))]
    let standing: readonly string[] = []
    const trouble = await context.attempt(
      async (client) => (standing = await OVERRIDE.list(client, [OVERRIDES_KEY], args)),
    )
    if (trouble !== undefined) throw new Error(trouble)
    for (const [index, pattern] of patterns.entries())
      if (overrides.get(pattern) === entries[index]) unsent.delete(pattern)
    return standing.map((text) => readOverride(text, signer)).filter((entry) => entry !== undefined)
  }

  async function writeForgotten(): Promise<void> {
    for (const prober of forgotten) {
      const keys = [indexKey('prober'), FORGOTTEN_KEY]
      const boot = context.bootOf(prober)
      const args = [channel, HINTS.forgotten, prober, boot, signer.sign('forgotten', [prober, boot])]
      const trouble = await context.attempt((client) => FORGET.run(client, [...keys, hashKey('prober', prober)], args))
      if (trouble !== undefined) throw new Error(trouble)
      forgotten.delete(prober)
    }
  }

  writer.onMissing = () => {
    for (const pattern of overrides.keys()) unsent.add(pattern)
    void writeOverrides().catch(() => {})
  }
  return {
    heartbeat: async (beat) => {
      await writer.beat(beat.sequence, nodeBeatText(beat))
      // what is not taken now is put up with the next beat
      await writeOverrides().catch(() => {})
      await writeForgotten().catch(() => {})
    },
    writeMembers: (changes) =>
      writer.change(
        [...changes].map(([member, known]) => [member, known === undefined ? undefined : knownText(known)]),
      ),
    override: (entries) => {
      for (const entry of entries) {
        const known = overrides.get(entry.pattern)
        if (known === undefined || supersedes(entry, known)) overrides.set(entry.pattern, entry)
        unsent.add(entry.pattern)
      }
      return writeOverrides()
    },
    forget: async (prober) => {
      forgotten.add(prober)
      await writeForgotten()
    },
  }
}
