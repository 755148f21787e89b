/**
 * The two writers of the Store contract in Redis, each over one HashWriter. Overrides and forgotten processes are not
 * part of a node's own hash: they are sent again with each heartbeat until Redis accepts them, and overrides also when
 * Redis has lost the node's hash.
 */
import { type Override, supersedes } from '../../health/override.ts'
import type { NodeWriter, ProberWriter, ProcessName } from '../../health/store.ts'
import type { Client } from './connect.ts'
import { FORGOTTEN_KEY, forgottenField, hashKey, HINTS, indexKey, OVERRIDES_KEY } from './keys.ts'
import { FORGET, OVERRIDE } from './scripts.ts'
import type { Signer } from './signer.ts'
import { knownText, nodeBeatText, overrideArguments, proberBeatText, readOverride, voteText } from './text.ts'
import type { HashWriter } from './writer.ts'

/** A prober's writer: one field per target's vote. */
export const makeProberWriter = (writer: HashWriter): ProberWriter => ({
  replace: (votes) => writer.replace(votes.map((vote) => [vote.target, voteText(vote)])),
  change: (vote) => writer.change([[vote.target, voteText(vote)]]),
  retire: (targets) => writer.change(targets.map((target) => [target, undefined])),
  heartbeat: (beat) => writer.beat(beat.sequence, proberBeatText(beat)),
})

/** What a node's writer needs of its Store. */
export interface NodeWriterContext {
  readonly channel: string
  readonly signer: Signer
  /** Runs a command if Redis is usable. Resolves to the trouble if it was not done. */
  attempt(command: (client: Client) => Promise<unknown>): Promise<string | undefined>
  /** How far this host's wall clock is ahead of Redis's, in ms; undefined: not measured yet. */
  clockMs(): number | undefined
  /** The boot id under which a process was heard last; empty: it was not. */
  bootOf(process: ProcessName): string
}

/** A node's writer: one field per known member, plus overrides and forgotten processes. */
export function makeNodeWriter(writer: HashWriter, context: NodeWriterContext): NodeWriter {
  const { channel, signer } = context
  const overrides = new Map<string, Override>()
  const unsent = new Set<string>()
  const forgotten = new Map<string, ProcessName & { readonly id: string }>()

  /** Sends unsent overrides. Resolves to the winner of each pattern; rejects when Redis did not accept them. */
  async function writeOverrides(): Promise<readonly Override[]> {
    const patterns = [...unsent]
    if (patterns.length === 0) return []
    const entries = patterns.map((pattern) => overrides.get(pattern)!)
    const args = [channel, ...entries.flatMap((entry) => overrideArguments(entry, signer))]
    let answer: readonly string[] = []
    const trouble = await context.attempt(
      async (client) => (answer = await OVERRIDE.list(client, [OVERRIDES_KEY], args)),
    )
    if (trouble !== undefined) throw new Error(trouble)
    for (const [index, pattern] of patterns.entries())
      if (overrides.get(pattern) === entries[index]) unsent.delete(pattern)
    const [redisMs, ...standing] = answer
    return standing.map((text) => readOverride(text, Number(redisMs), signer)).filter((entry) => entry !== undefined)
  }

  async function writeForgotten(): Promise<void> {
    for (const [field, process] of forgotten) {
      const { kind, name, id } = process
      const keys = [indexKey(kind), FORGOTTEN_KEY, hashKey(kind, name)]
      const boot = context.bootOf(process)
      const args = [channel, HINTS.forgotten, name, field, boot, id, signer.sign('forgotten', [field, boot, id])]
      const trouble = await context.attempt((client) => FORGET.run(client, keys, args))
      if (trouble !== undefined) throw new Error(trouble)
      if (forgotten.get(field) === process) forgotten.delete(field)
    }
  }

  writer.onMissing = () => {
    for (const pattern of overrides.keys()) unsent.add(pattern)
    void writeOverrides().catch(() => {})
  }
  return {
    heartbeat: async (beat) => {
      const clockMs = context.clockMs()
      await writer.beat(beat.sequence, nodeBeatText(clockMs === undefined ? beat : { ...beat, clockMs }))
      // what is not accepted now is sent with the next heartbeat
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
    forget: async (process, id) => {
      forgotten.set(forgottenField(process), { ...process, id })
      await writeForgotten()
    },
  }
}
