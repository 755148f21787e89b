/** The limit before Redis's parser: what is within bounds goes through as it came, in whatever pieces; the rest is an empty one. */
import { expect, test } from 'vitest'
import { ReplyLimit } from '../../../src/store/redis/limit.ts'
import { makeRandom, type Random } from '../../fuzz/packets.ts'

const LIMITS = { value: 40, elements: 6, reply: 120 }

type Reply =
  | { readonly text: string }
  | { readonly bulk: string }
  | { readonly list: readonly Reply[]; readonly type: string }

function makeReply(random: Random, depth = 0): Reply {
  const turn = random(depth > 3 ? 2 : 4)
  if (turn === 0)
    return {
      text: ['+OK', '-ERR no', ':12', '_', '$-1', '*-1', ',1.5', '#t', `+${'x'.repeat(random(99))}`][random(9)]!,
    }
  if (turn === 1) return { bulk: ['', '\r\n', '$5\r\n', 'x'.repeat(random(60)), '*9\r\n'][random(5)]! }
  const type = '*~>%'[random(4)]!
  const count = random(9)
  return { type, list: Array.from({ length: type === '%' ? 2 * count : count }, () => makeReply(random, depth + 1)) }
}

function written(reply: Reply): string {
  if ('text' in reply) return `${reply.text}\r\n`
  if ('bulk' in reply) return `$${reply.bulk.length}\r\n${reply.bulk}\r\n`
  const { type, list } = reply
  return `${type}${type === '%' ? list.length / 2 : list.length}\r\n${list.map(written).join('')}`
}

/** The same by the tree. */
function limited(reply: Reply, taken = { bytes: 0 }): Reply {
  if ('text' in reply) return reply
  if ('bulk' in reply) {
    taken.bytes += reply.bulk.length
    return reply.bulk.length > LIMITS.value || taken.bytes > LIMITS.reply ? { bulk: '' } : reply
  }
  const { type, list } = reply
  if ((type === '%' ? list.length / 2 : list.length) > LIMITS.elements) {
    addAll(reply, taken)
    return { type, list: [] }
  }
  return { type, list: list.map((each) => limited(each, taken)) }
}

/** What is dropped has come all the same. */
function addAll(reply: Reply, taken: { bytes: number }): void {
  if ('bulk' in reply) taken.bytes += reply.bulk.length
  else if ('list' in reply) for (const each of reply.list) addAll(each, taken)
}

function through(text: string, random: Random): string {
  const limit = new ReplyLimit(() => {}, LIMITS)
  const bytes = Buffer.from(text, 'latin1')
  let passed = ''
  for (let at = 0; at < bytes.length;) {
    const step = 1 + random([1, 3, 20, 1000][random(4)]!)
    passed += Buffer.concat([...limit.pass(bytes.subarray(at, at + step))]).toString('latin1')
    at += step
  }
  return passed
}

test('3,000 streams of replies in any pieces: as by the tree', () => {
  const random = makeRandom(9)
  let changed = 0
  for (let i = 0; i < 3000; i++) {
    const replies = Array.from({ length: 1 + random(4) }, () => makeReply(random))
    const came = replies.map(written).join('')
    const wanted = replies.map((reply) => written(limited(reply))).join('')
    expect(through(came, random), came).toBe(wanted)
    if (came !== wanted) changed++
  }
  expect(changed).toBeGreaterThan(300)
})

test('what is within bounds is passed on as the chunk that it came in', () => {
  const chunk = Buffer.from('*2\r\n$1\r\na\r\n$2\r\nbc\r\n+OK\r\n')
  expect(new ReplyLimit(() => {}).pass(chunk)).toEqual([chunk])
})

test('noise neither throws nor is kept', () => {
  const random = makeRandom(7)
  for (let i = 0; i < 3000; i++) {
    const limit = new ReplyLimit(() => {}, LIMITS)
    const telling = '$*%~>=!+-:\r\n0123456789'
    const noise = Array.from({ length: random(200) }, () => telling[random(telling.length)]).join('')
    through(noise, random)
    limit.pass(Buffer.from('$'.padEnd(10_000, '1')))
    expect(limit.pass(Buffer.from('1'.repeat(10_000)))).toHaveLength(1)
  }
})
