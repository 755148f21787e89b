/**
 * The events of the fleet in Redis (lua/event.2.lua): a bounded number of lines, to which only nodes may write. Nothing of it
 * is trouble of the Store: votes and overrides do not depend on it.
 */
import { type EventBoard, type EventLine, type EventNotice, EVENTS_BEGIN } from '../../health/store.ts'
import type { Refusals } from '../../health/refusals.ts'
import type { Client } from './connect.ts'
import { EVENT_ORDER_KEY, EVENTS_KEY } from './keys.ts'
import { EVENT, EVENTS } from './scripts.ts'
import type { Signer } from './signer.ts'
import { readEventLine } from './text.ts'

/** Lines that are kept: some 5 MB. */
const MOST_LINES = '5000'
/** Lines in one read. */
const AT_ONCE = 200
const KEYS = [EVENTS_KEY, EVENT_ORDER_KEY]

/** What a board needs of its Store. */
export interface EventBoardContext {
  readonly signer: Signer
  readonly refusals: Refusals
  /** Runs a command; rejects with why not. */
  readonly run: (command: (client: Client) => Promise<readonly string[]>) => Promise<readonly string[]>
}

/** The board in Redis. */
export const makeEventBoard = ({ signer, refusals, run }: EventBoardContext): EventBoard => ({
  async publish(notices) {
    const args = notices.flatMap((notice) => argumentsOf(notice, signer))
    const answer = await run((client) => EVENT.list(client, KEYS, [MOST_LINES, ...args]))
    return notices.map((_, i) => readEventLine(answer[2 * i] ?? '', answer[2 * i + 1] ?? '', signer))
  },
  async read(mark) {
    const [known = '', score = '0'] = mark === EVENTS_BEGIN ? [] : mark.split(' ')
    const answer = await run((client) => EVENTS.list(client, KEYS, [known, score, String(AT_ONCE)]))
    const [first = '', read = '0', ...texts] = answer
    const isLost = known !== '' && first !== known // an emptied Redis, or another one
    const lines: EventLine[] = []
    for (let i = 0; i + 1 < texts.length; i += 2) {
      const line = readEventLine(texts[i]!, texts[i + 1]!, signer)
      if (line === undefined) refusals.count('event')
      else lines.push(line)
    }
    return {
      lines,
      mark: first === '' ? EVENTS_BEGIN : `${first} ${read}`,
      isLost,
      isWhole: texts.length < 2 * AT_ONCE,
    }
  },
})

const argumentsOf = ({ id, node, key, togetherMs, ageMs, text }: EventNotice, signer: Signer): readonly string[] => [
  id,
  node,
  key,
  String(togetherMs),
  String(Math.max(0, Math.round(ageMs))),
  signer.sign('event', [id, key, text]) || '-',
  signer.sign('witness', [key, id]) || '-',
  text,
]
