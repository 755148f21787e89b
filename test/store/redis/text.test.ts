/** What is read from Redis may be of a newer version, or anybody's: only what this one understands whole is taken. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { Refusals } from '../../../src/health/refusals.ts'
import { Signer } from '../../../src/store/redis/signer.ts'
import {
  changeText,
  Intern,
  nodeBeatText,
  readChange,
  readForgotten,
  readHead,
  readKnown,
  readNodeBeat,
  readOverrides,
  readProberBeat,
  readVotes,
  voteText,
} from '../../../src/store/redis/text.ts'
import { vote } from '../../support/specs.ts'

const NONE = new Signer()

const entry = { pattern: 'fra', action: 'drain', version: 1, node: 'n1', who: 'a', why: '', madeMs: 1, untilMs: null }

const read = (value: object) => readOverrides(['fra', `1 ${JSON.stringify(value)}`], 1, new Refusals(), NONE)
/** The entry as it is read. */
const told = {
  pattern: 'fra',
  action: 'drain',
  version: 1,
  node: 'n1',
  who: 'a',
  why: '',
  madeMs: 1,
  forMs: null,
  setMs: expect.any(Number),
}

test('an override that is not whole, or of an action not known here, is left out', () => {
  expect(read(entry)).toEqual([told])
  for (const odd of [{ action: 'reboot' }, { version: '1' }, { who: 7 }, { madeMs: null }, { untilMs: 'never' }])
    expect(read({ ...entry, ...odd }), JSON.stringify(odd)).toEqual([])
})

test('members of dynamic records, whose names have colons and stars, are known, drained and forced like others', () => {
  const refusals = new Refusals()
  for (const service of ['www.example.com:A', '*.example.com:AAAA', '_sip\\047x.example.com:A']) {
    const name = `eu/${service}/192.0.2.1`
    expect([...readKnown([name, 'u t1'], 'n', new Intern(), refusals).keys()]).toEqual([name])
    for (const pattern of [name, `eu/${service}`]) {
      const one = { ...entry, pattern, action: 'down' }
      expect(readOverrides([pattern, `1 ${JSON.stringify(one)}`], 1, refusals, NONE)).toEqual([
        { ...told, pattern, action: 'down' },
      ])
    }
  }
  for (const bad of ['eu/a b/192.0.2.1', 'eu/a\u001b/192.0.2.1', 'eu/a/b/192.0.2.1'])
    expect(readKnown([bad, 'u t1'], 'n', new Intern(), refusals).size).toBe(0)
})

test('what a node answers goes with its beat, of very many sites those with most; what is no rate is left out', () => {
  const node = { name: 'n1', bootId: 'b1' }
  const beat = { node, sequence: 7, version: '1', view: 'v', plan: 'p', verdicts: 'h' }
  const rates = {
    queriesPerSecond: 120.5,
    sites: [
      { site: 'fra', answersPerSecond: 80 },
      { site: '', answersPerSecond: 1 },
    ],
  }
  expect(readNodeBeat(node, nodeBeatText({ ...beat, rates }))).toEqual({ ...beat, rates })
  const sites = Array.from({ length: 1000 }, (_, i) => ({ site: `site-number-${i}`, answersPerSecond: 1000 - i }))
  const text = nodeBeatText({ ...beat, rates: { queriesPerSecond: 1, sites } })
  expect(text.length).toBeLessThan(4096)
  expect(readNodeBeat(node, text)!.rates!.sites[0]).toEqual(sites[0])
  for (const odd of [7, ['x'], [1, 'fra'], [1, 'fra', -1], [1, '\u001b', 1], [-1]])
    expect(readNodeBeat(node, JSON.stringify([7, '1', 'v', 'p', 'h', '', '', null, 0, '', '', odd]))).toEqual(beat)
})

test('a node’s beat may have a revision, or none, or one that is none; an older version’s has not got it', () => {
  const node = { name: 'n1', bootId: 'b1' }
  const beat = { node, sequence: 7, version: '1', view: 'v', plan: 'p', verdicts: 'h' }
  expect(readNodeBeat(node, nodeBeatText(beat))).toEqual(beat)
  for (const revision of ['1a2b3c4', '1a2b3c4-dirty']) {
    expect(readNodeBeat(node, nodeBeatText({ ...beat, revision }))).toEqual({ ...beat, revision })
  }
  const more = { overrides: 'ab12', clockMs: -1_800_000, ends: true }
  expect(readNodeBeat(node, nodeBeatText({ ...beat, ...more }))).toEqual({ ...beat, ...more })
  expect(readNodeBeat(node, JSON.stringify([7, '1', 'v', 'p', 'h', '', '\u001b[2J', 'soon', 7]))).toEqual(beat)
  expect(readNodeBeat(node, JSON.stringify([7, '1', 'v', 'p', 'h', '\u001b[2J']))).toEqual(beat)
  expect(readNodeBeat(node, JSON.stringify([7, '1\u001b[2J', 'v', 'p', 'h']))).toBeUndefined()
  expect(readNodeBeat(node, JSON.stringify([7, '1', 'v', 'p', 'h']))).toEqual(beat)
})

test('a line of a log that is not of its form whole is none', () => {
  const change = { n: 7, mac: '-', fields: ['t1', 'd.1000 1 HTTP 500\nand more', 't2', ''] }
  expect(readChange(changeText(change))).toEqual(change)
  expect(changeText(change)).not.toContain('\n')
  const odd = ['', '7', '7 -', '7 - {}', '7 - ["t"]', '7 - ["t",1]', '7 - [', '1e9 - []', '-1 - []', 'x - []']
  for (const line of [...odd, `7 - ["t","${'x'.repeat(70_000)}"]`, `7 - ${'['.repeat(60_000)}`])
    expect(readChange(line), line.slice(0, 40)).toBeUndefined()
})

test('forgotten probers and nodes: each for itself', () => {
  const refusals = new Refusals()
  const good = ['a', '1 boot r1 ', 'b', '1  r2 ', 'node:n1', '1 boot r3 ']
  const bad = ['no name!', '1 boot r1 ', 'c', '1 b!ot r1 ', 'd', '1 boot ', 'node:', '1 boot r1 ']
  expect(readForgotten([...good, ...bad], refusals, NONE)).toEqual([
    { kind: 'prober', name: 'a', bootId: 'boot', id: 'r1' },
    { kind: 'prober', name: 'b', bootId: '', id: 'r2' },
    { kind: 'node', name: 'n1', bootId: 'boot', id: 'r3' },
  ])
  expect(refusals.of('forgotten')).toBe(4)
})

test('what a hash says of itself must be whole', () => {
  expect(readHead('prober', 'a', ['b', 'eu', '3', ''])).toMatchObject({ name: 'a', boot: 'b', region: 'eu', n: 3 })
  expect(readHead('node', 'a', ['b', '', '3', undefined])).toMatchObject({ region: '', beat: '' })
  for (const values of [[], ['', 'eu', '3', ''], ['b', '', '3', ''], ['b', 'eu', '', ''], ['b', 'eu', 'NaN', '']])
    expect(readHead('prober', 'a', values), values.join()).toBeUndefined()
  expect(readHead('prober', '\n', ['b', 'eu', '3', ''])).toBeUndefined()
})

test('votes: each for itself, bounded, without control characters; what is written can be read', () => {
  const refusals = new Refusals()
  const votesOf = (...fields: string[]) => readVotes(fields, 'x', new Intern(), refusals)
  const said = vote('t1', 'down', { moving: true, rttMs: 12.34, share: 250, reason: 'certificate of \u001b[31mevil\n' })
  expect(votesOf('t1', voteText(said)).votes).toEqual([
    { ...said, rttMs: 12.3, reason: 'certificate of \u{fffd}[31mevil\u{fffd}' },
  ])
  expect(votesOf('t1', `u.1000 1 ${'x'.repeat(3000)}`).votes[0]!.reason).toHaveLength(200)
  expect(votesOf('t1', '', '@boot', 'x')).toEqual({ votes: [], retired: ['t1'] })
  expect(refusals.of('vote')).toBe(0)
  const odd = [
    'u',
    'u.',
    'x.1000 1 y',
    'u?1000 1 y',
    'u.1001 1 y',
    'u.-1 1 y',
    'u. 1 y',
    'u.1000  y',
    'u.1000 1e9 y',
    'u.1000 1',
  ]
  expect(votesOf(...odd.flatMap((text) => ['t1', text]), 't\n', 'u.1000 1 y', '', '', 't'.repeat(65), '')).toEqual({
    votes: [],
    retired: [],
  })
  expect(refusals.of('vote')).toBe(odd.length + 3)
})

test('heartbeats and what nodes know: counts are whole numbers, hashes are short', () => {
  const prober = { name: 'a', region: 'eu', bootId: 'b' }
  expect(readProberBeat(prober, '[1,"c",0,0]')).toEqual({
    prober,
    sequence: 1,
    configHash: 'c',
    overdue: 0,
    overdueAgeMs: 0,
  })
  const odd = ['', '1', '[1e308,"c",0,0]', '[-1,"c",0,0]', '[1.5,"c",0,0]', '["1","c",0,0]', '[1,7,0,0]', '[1,"c"]']
  for (const text of [...odd, `[1,"${'x'.repeat(65)}",0,0]`]) expect(readProberBeat(prober, text), text).toBeUndefined()
  const refusals = new Refusals()
  const fields = [
    'fra/web/192.0.2.1',
    'u t1 t2',
    'fra/web/2001:db8::1',
    'd',
    'x\n',
    'u',
    'fra',
    'a',
    'iad',
    `u${' t'.repeat(65)}`,
  ]
  expect([...readKnown(fields, 'n', new Intern(), refusals).keys()]).toEqual([
    'fra/web/192.0.2.1',
    'fra/web/2001:db8::1',
  ])
  expect(refusals.of('known')).toBe(3)
})

test('overrides: each entry for itself; who and why carry no control characters', () => {
  const refusals = new Refusals()
  const fields = [
    'fra',
    '1 {',
    'iad',
    `1 ${JSON.stringify({ ...entry, pattern: 'iad', why: 'x\u0007' })}`,
    'a b',
    '1 7',
  ]
  expect(readOverrides(fields, 1, refusals, NONE)).toEqual([{ ...told, pattern: 'iad', why: 'x\u{fffd}' }])
  const odds = [
    { pattern: 'a/b/c/d' },
    { pattern: '\n' },
    { version: 1e308 },
    { version: 1.5 },
    { node: 'x'.repeat(300) },
  ]
  for (const odd of odds) {
    const one = { ...entry, ...odd }
    expect(readOverrides([one.pattern, `1 ${JSON.stringify(one)}`], 1, refusals, NONE)).toEqual([])
  }
  expect(readOverrides(['iad', `1 ${JSON.stringify(entry)}`], 1, refusals, NONE)).toEqual([]) // under a foreign name
  expect(refusals.of('override')).toBe(8)
})

test('votes that are kept keep no more in memory than they say', () => {
  setFlagsFromString('--expose-gc')
  const gc: () => void = runInNewContext('gc')
  const [intern, refusals] = [new Intern(), new Refusals()]
  const votesOfLength = (i: number, length: number) =>
    readVotes([`t${i}`, Buffer.from(`u.1000 1 ${i}${'x'.repeat(length)}`).toString()], 'a', intern, refusals).votes
  gc()
  const before = process.memoryUsage().heapUsed
  const votes = Array.from({ length: 5000 }, (_, i) => votesOfLength(i, 4000)).flat()
  gc()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(8_000_000)
  expect(votes).toHaveLength(5000)
  expect(votesOfLength(0, 1_000_000)).toEqual([])
  expect(refusals.of('vote')).toBe(1)
})
