/**
 * The SendingBoard contract in Redis: two hashes, of what was told last of each thing, and of who sends each message
 * (lua/claim.2.lua, lua/sending.1.lua). Both are bounded, and go two days after the last write. A value that is not
 * signed, where a secret is set, counts as absent, and is written over.
 */
import {
  type NodeIdentity,
  type Sending,
  type SendingBoard,
  type Sighting,
  SIGHTING_SLACK_MS,
  SIGHTING_TOGETHER_MS,
} from '../../health/store.ts'
import type { Client } from './connect.ts'
import { SENDINGS_KEY, TOLD_KEY } from './keys.ts'
import { CLAIM, SENDING } from './scripts.ts'
import type { Signer } from './signer.ts'

/** What the board needs of its Store. */
export interface SendingBoardContext {
  readonly signer: Signer
  /** Runs a command with so many arguments, if Redis is usable; rejects with the trouble if it was not done. */
  readonly run: <T>(command: (client: Client) => Promise<T>, args: number) => Promise<T>
}

/** In place of what is empty: a list of receivers, a signature. */
const NONE = '-'
const WORD = /^[\w.-]{1,200}$/

/** The board as one node sees it. */
export function makeSendingBoard(node: NodeIdentity, { signer, run }: SendingBoardContext): SendingBoard {
  const senderText = (id: string, done: readonly string[]): string => {
    const names = done.length === 0 ? NONE : done.join(',')
    return `${node.name} ${node.bootId} ${names} ${signer.sign('sending', [id, node.name, node.bootId, names]) || NONE}`
  }

  /** The id in a value of what was told; undefined: nobody has signed it. */
  const idOf = (about: string, value: string): string | undefined => {
    const [, state = '', id = '', mac = ''] = value.split(' ')
    return WORD.test(id) && signer.verify(mac, 'told', [about, state, id]) ? id : undefined
  }

  async function claim(
    id: string | undefined,
    sightings: readonly Sighting[],
    doubted: readonly string[],
  ): Promise<readonly string[]> {
    const head = [id ?? '', id === undefined ? '' : senderText(id, []), SIGHTING_SLACK_MS, SIGHTING_TOGETHER_MS]
    const args = sightings.flatMap(({ about, state, ageMs, sinceAgeMs }, i) => [
      about,
      state,
      Math.round(ageMs),
      sinceAgeMs === null ? '' : Math.round(sinceAgeMs),
      (id === undefined ? '' : signer.sign('told', [about, state, id])) || NONE,
      doubted[i] ?? '',
    ])
    const all = [...head, ...args].map(String)
    return run((client) => CLAIM.list(client, [TOLD_KEY, SENDINGS_KEY], all), all.length)
  }

  async function write(id: string, done: readonly string[], boot: string, seen: string): Promise<boolean> {
    const args = [id, senderText(id, done), boot, seen]
    return Number(await run((client) => SENDING.run(client, [SENDINGS_KEY], args), args.length)) === 1
  }

  return {
    claim: async (id, sightings) => {
      if (sightings.length === 0) return []
      const first = await claim(id, sightings, [])
      const ids = sightings.map(({ about }, i) => idOf(about, first[i] ?? ''))
      const isForged = (i: number): boolean => ids[i] === undefined && (first[i] ?? '') !== ''
      if (!sightings.some((_, i) => isForged(i))) return ids
      const again = await claim(
        id,
        sightings,
        first.map((value, i) => (isForged(i) ? value : '')),
      )
      return sightings.map(({ about }, i) => idOf(about, again[i] ?? ''))
    },
    sendings: async (ids) => {
      if (ids.length === 0) return new Map()
      const answer = await run((client) => client.call('hmget', SENDINGS_KEY, ...ids), ids.length)
      const values: readonly unknown[] = Array.isArray(answer) ? answer : []
      const found = ids.map((id, i) => [id, values[i]] as const)
      return new Map(
        found.flatMap(([id, text]) => (typeof text === 'string' ? [[id, readSending(id, text, signer)] as const] : [])),
      )
    },
    done: (id, receivers) => write(id, receivers, node.bootId, ''),
    take: (id, seen) => write(id, seen?.done ?? [], '', seen?.text ?? ''),
  }
}

/** Parses `ms node boot-id receiver,… mac`. One that nobody has signed is of no node, and may be taken over. */
function readSending(id: string, text: string, signer: Signer): Sending {
  const [, name = '', bootId = '', names = '', mac = ''] = text.split(' ')
  const isSigned = signer.verify(mac, 'sending', [id, name, bootId, names])
  const done = !isSigned || names === NONE ? [] : names.split(',')
  return { node: isSigned ? { name, bootId } : { name: '', bootId: '' }, done, text }
}
