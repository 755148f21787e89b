/** What is read from Redis may be of a newer version, or anybody's: only what this one understands whole is taken. */
import { expect, test } from 'vitest'
import { nodeBeatText, readNodeBeat, readOverrides } from '../../src/health/redis-text.ts'

const entry = { pattern: 'fra', action: 'drain', version: 1, node: 'n1', who: 'a', why: '', madeMs: 1, untilMs: null }

const read = (value: object) => readOverrides(['fra', `1 ${JSON.stringify(value)}`])

test('an override that is not whole, or of an action not known here, is left out', () => {
  expect(read(entry)).toEqual([entry])
  for (const odd of [{ action: 'reboot' }, { version: '1' }, { who: 7 }, { madeMs: null }, { untilMs: 'never' }])
    expect(read({ ...entry, ...odd }), JSON.stringify(odd)).toEqual([])
})

test('a node’s beat may have a revision, or none, or one that is none; an older version’s has not got it', () => {
  const node = { name: 'n1', bootId: 'b1' }
  const beat = { node, sequence: 7, version: '1', view: 'v', plan: 'p', verdicts: 'h' }
  expect(readNodeBeat(node, nodeBeatText(beat))).toEqual(beat)
  for (const revision of ['1a2b3c4', '1a2b3c4-dirty']) {
    expect(readNodeBeat(node, nodeBeatText({ ...beat, revision }))).toEqual({ ...beat, revision })
  }
  expect(readNodeBeat(node, JSON.stringify([7, '1', 'v', 'p', 'h', '\u001b[2J']))).toEqual(beat)
  expect(readNodeBeat(node, JSON.stringify([7, '1', 'v', 'p', 'h']))).toEqual(beat)
})
