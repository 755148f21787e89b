/** The commands that change something, as they are typed, against a control socket; what the node behind it heard. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { makeApp } from '../../src/api/app.ts'
import type { AcceptBody, DrillBody, ForgetBody, FreezeBody, OverrideBody, ReturnBody } from '../../src/api/bodies.ts'
import type { Node } from '../../src/api/contract.ts'
import { type HttpServer, listenSocket, listenTcp } from '../../src/api/listen.ts'
import type { NotStored } from '../../src/api/override.ts'
import { run } from '../../src/cli/commands.ts'
import { whoAmI } from '../../src/cli/override.ts'
import type { Acknowledgement, FreezeStatus } from '../../src/health/node-health.ts'
import type { DrillReport } from '../../src/node/drill-report.ts'
import { guardOf, secretOf } from '../support/guard.ts'
import { drain } from './fleet.ts'

let folder = ''
let open: HttpServer[] = []
let heard: (OverrideBody | ForgetBody | FreezeBody | ReturnBody | AcceptBody)[] = []
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-override-'))
  heard = []
  notKept = []
  drilled.length = 0
  nodes = { reached: ['n1', 'n2', 'n3'], unreached: [] }
  open = [await listenSocket(makeApp(node, 'open'), join(folder, 'control.sock'))]
})
afterEach(async () => {
  await Promise.all(open.map((server) => server.stop()))
  rmSync(folder, { recursive: true })
})

const drilled: DrillBody[] = []
const report: DrillReport = {
  pattern: 'iad',
  who: 'kim',
  why: 'quarterly',
  abortIf: ['left<60%', 'orders'],
  beganMs: Date.UTC(2026, 10, 25, 13),
  forMs: 1_800_000,
  lastedMs: 0,
  outcome: 'running',
  reason: '',
  services: [{ service: 'web', beforePercent: 100, leastPercent: 33.3 }],
  answers: [
    { site: 'iad', before: 50, least: 0, most: 50, last: 0, leftAfterMs: 4250 },
    { site: 'fra', before: 30, least: 30, most: 58.5, last: 55, leftAfterMs: null },
  ],
  queries: { before: 100, most: 120 },
  nodes: { counted: ['fra1', 'iad1'], missing: ['sin1'] },
}
let ended: DrillReport = report
let notKept: NotStored = []
let nodes: Acknowledgement = { reached: [], unreached: [] }
const frozen: FreezeStatus = {
  node: 'n1',
  who: 'kim@ops1',
  why: 'the probers move',
  madeMs: Date.UTC(2026, 10, 25, 13),
  untilMs: Date.UTC(2026, 10, 25, 15),
  leftMs: 3_600_000,
  down: 1,
  kept: 2,
  yields: ['api'],
}
const services = [{ service: 'web', leftBeforePercent: 100, leftPercent: 66.7, keepPercent: 25, lastResort: false }]
const node: Node = {
  readiness: () => ({ ready: true, reasons: [], warnings: [] }),
  metrics: async () => '',
  status: async () => ({}),
  summary: async () => ({}),
  explain: () => ({}),
  members: () => [],
  overrides: () => [],
  announce: () => ({ ready: true, stopping: false, zone: '.' }),
  announcement: () => ({ announced: true, why: '' }),
  events: () => ({ events: [], next: null }),
  eventFeed: () => ({ next: async () => undefined }),
  board: async () => ({ etag: '', bytes: new Uint8Array() }),
  world: async () => ({}),
  outlook: (patterns, to) => {
    const pattern = patterns.join(', ')
    if (pattern === 'nowhere') return 'nothing is named nowhere'
    const safe = pattern === 'iad' || to >= 300
    const left = {
      service: 'web',
      leftNowPercent: 100,
      leftThenPercent: safe ? 66.7 : 10,
      keepPercent: 25,
      lost: [],
      safe,
    }
    return {
      pattern,
      members: [`${pattern}/web/192.0.2.2`],
      services: [left],
      overrides: to < 300 ? [] : [{ ...drain, action: 'shift', shift: { from: 1000, to: 300, overMs: 9e5, now: 620 } }],
      safe,
      why: safe ? 'enough is left' : 'too little is left',
    }
  },
  override: async (order) => {
    heard.push(order)
    if (order.pattern === 'fra' && !order.yes) return { refused: 'web would have 10 %, keep is 25 %', hint: 'or --yes' }
    if (order.action === 'undrain')
      return {
        done: { ...drain, action: 'undone' },
        notKept: [],
        ...nodes,
        before: drain,
        members: ['iad/web/192.0.2.2'],
        services,
      }
    return { done: drain, notKept, ...nodes, before: undefined, members: ['iad/web/192.0.2.2'], services }
  },
  overrideAll: async (orders) => {
    heard.push(...orders)
    const done = { ...drain, shift: { from: 1000, to: 300, overMs: 900_000, now: 1000 } }
    const overrides = orders.map(({ pattern }) => {
      return { done: { ...done, pattern }, before: undefined, members: [`${pattern}/web/192.0.2.2`] }
    })
    return { overrides, notKept, ...nodes, services }
  },
  freeze: async (freezing) => {
    heard.push(freezing)
    if (freezing.action === 'freeze') return { freeze: frozen, before: null, notKept, ...nodes }
    return { freeze: null, before: frozen, notKept, ...nodes }
  },
  return: async (returning) => {
    heard.push(returning)
    if (returning.pattern === 'ams')
      return { refused: 'nothing of ams awaits a return', hint: 'No site has failed over' }
    const waiting = returning.yes ? [] : [{ subject: 'fra/api', why: 'connection refused' }]
    const each = services.map((service) => ({ ...service, unusable: [{ site: 'sin', state: 'down' }] }))
    return { returned: ['fra/web'], waiting, services: each, freeze: returning.yes ? null : frozen, notKept, ...nodes }
  },
  drill: async (body) => {
    drilled.push(body)
    return body.pattern === 'lon' ? { refused: 'lon matches no member' } : { drill: report, notKept, ...nodes }
  },
  drills: () => (drilled.length === 0 ? [] : [ended]),
  forget: async (forgetting) => {
    heard.push(forgetting)
    const { name } = forgetting
    return name.endsWith('-ap') ? { forgotten: name, notKept, ...nodes } : { refused: `${name} is live` }
  },
  acceptGeo: async (acceptance) => {
    heard.push(acceptance)
    if (acceptance.who !== 'kim') return { refused: 'no database waits to be accepted' }
    const moves = { moved: 0.12, moves: [{ from: 'fra', to: 'iad', share: 0.12 }] }
    return { accepted: { build: 'b2', inUse: 'b1', service: 'web', moves } }
  },
  acceptZones: async (acceptance) => {
    heard.push(acceptance)
    if (acceptance.who !== 'kim') return { refused: 'no zones wait to be accepted' }
    const web = { service: 'web', before: 'web', clients: 'ipv4', moved: 0.12, continents: [] }
    const moves = { services: [{ ...web, moves: [{ from: 'fra', to: 'iad', share: 0.12 }] }], uncounted: 0 }
    return { accepted: { build: 'z2', inUse: { loadedMs: 0 }, moves } }
  },
}

/** Types a command line. */
async function type(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) }
  const code = await run([...args, '--state', folder], output, () => Promise.resolve())
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const BASE = { pattern: 'iad', forMs: undefined, why: 'disks', who: 'kim', yes: false }

test('what is typed is what the node hears', async () => {
  await type('drain', 'iad', '--for', '2h', '--why', 'disks', '--who', 'kim', '--yes')
  await type('drain', 'iad', '--why', 'disks', '--who', 'kim')
  await type('undrain', 'iad', '--who', 'kim')
  await type('force', 'iad', 'up', '--why', 'disks', '--who', 'kim')
  await type('force', 'iad', 'down', '--why', 'disks', '--who', 'kim', '--for', '90s')
  await type('force', 'iad', 'off', '--who', 'kim')
  expect(heard).toEqual([
    { ...BASE, action: 'drain', forMs: 7_200_000, yes: true },
    { ...BASE, action: 'drain' },
    { ...BASE, action: 'undrain', why: '' },
    { ...BASE, action: 'up' },
    { ...BASE, action: 'down', forMs: 90_000 },
    { ...BASE, action: 'off', why: '' },
  ])
})

test('what was done is told: members, what is left, until when', async () => {
  const { code, out } = await type('drain', 'iad', '--for', '2h', '--why', 'disks')
  expect(code).toBe(0)
  expect(out).toContain('iad is drained until 2026-11-25 15:00 UTC')
  expect(out).toContain('1 member: iad/web/192.0.2.2')
  expect(out).toMatch(/web +100 % +67 % +25 %/)
  expect((await type('undrain', 'iad')).out).toContain('iad: no longer drained (by kim@ops1: disks, ticket 812)')
  expect(JSON.parse((await type('drain', 'iad', '--why', 'disks', '--json')).out)).toMatchObject({
    done: drain,
    services,
  })
})

test('several patterns are one order, with one share and one time to it', async () => {
  const { code, out } = await type(
    'drain',
    'iad',
    'lon',
    '--to',
    '30%',
    '--over',
    '15m',
    '--why',
    'disks',
    '--who',
    'kim',
  )
  const order = { ...BASE, action: 'drain', to: 300, overMs: 900_000 }
  expect(heard).toEqual([order, { ...order, pattern: 'lon' }])
  expect(code).toBe(0)
  expect(out).toMatch(/^iad is drained from 100 % to 30 % over 15m until 2026-11-25 15:00[^]*\nlon is drained from/)
  expect(out.match(/left before/g)).toHaveLength(1)
  heard = []
  await type('undrain', 'iad', 'lon', '--over', '10m', '--who', 'kim')
  const undo = { ...BASE, action: 'undrain', why: '', overMs: 600_000 }
  expect(heard).toEqual([undo, { ...undo, pattern: 'lon' }])
  const dry = await type('drain', 'iad', 'lon', '--to', '30%', '--dry-run')
  expect(dry).toMatchObject({ code: 0, out: expect.stringMatching(/^SAFE to drain iad, lon to 30%: enough is left/) })
  expect(dry.out).toMatch(/^ {2}now: iad is drained to 30 %, at 62 % now until .*: disks, ticket 812$/m)
})

test('a drill is watched to its end: exit code 0 where it was whole, else 1, with a report', async () => {
  expect((await type('drill')).out).toBe('there were no drills at this node')
  ended = { ...report, outcome: 'aborted', lastedMs: 240_000, reason: '33 % of web is left (left<60%)' }
  const words = ['drill', 'iad', '--for', '30m', '--why', 'quarterly', '--who', 'kim']
  const { code, out } = await type(...words, '--abort-if', 'left<60%|orders')
  expect(drilled).toEqual([
    { pattern: 'iad', forMs: 1_800_000, abortIf: ['left<60%', 'orders'], who: 'kim', why: 'quarterly' },
  ])
  expect(code).toBe(1)
  expect(out).toBe(
    `the drill of iad runs, on all 3 nodes; to end it: meridian undrain iad
iad: drill of 2026-11-25 13:00 UTC by kim (quarterly): ABORTED after 4 min: 33 % of web is left
  (left<60%)
  service  left before  at least
  web      100 %        33 %
  answers/s  before  least  most  last  a tenth after
  iad        50      0      50    0     4 s
  fra        30      30     58.5  55    -
  queries/s: 100 before, 120 at most
  answers and queries are those of 2 nodes; NOT COUNTED, or not to the end: sin1`,
  )
  ended = { ...ended, outcome: 'complete', reason: 'its time is over' }
  expect(await type(...words, '--json')).toEqual({ code: 0, out: JSON.stringify(ended), err: '' })
  expect(drilled[1]!.abortIf).toEqual(['last-resort'])
  expect(JSON.parse((await type('drill', '--json')).out)).toEqual({ drills: [ended] })
  expect(await type('drill', 'lon', '--for', '30m', '--why', 'x')).toMatchObject({
    code: 1,
    err: 'meridian: refused: lon matches no member',
  })
})

test('a refusal is exit code 1, with the reason and the hint', async () => {
  const { code, out, err } = await type('drain', 'fra', '--why', 'disks')
  expect(code).toBe(1)
  expect(out).toBe('')
  expect(err).toBe('meridian: refused: web would have 10 %, keep is 25 %\n    or --yes')
  expect((await type('drain', 'fra', '--why', 'disks', '--yes')).code).toBe(0)
})

test('what is done and not kept is exit code 3, and says where it is not', async () => {
  notKept = [{ where: 'disk', why: 'ENOSPC: no space left on device' }]
  const onDisk = await type('drain', 'iad', '--why', 'disks')
  expect(onDisk).toMatchObject({ code: 3, out: expect.stringContaining('iad is drained') })
  expect(onDisk.err).toMatch(/could not be saved on the disk of this node[^]*would lose it[^]*ENOSPC/)
  notKept = [{ where: 'store', why: 'Redis at 192.0.2.6:6379 refuses connections' }]
  const away = await type('drain', 'iad', '--why', 'disks')
  expect(away.code).toBe(3)
  expect(away.err).toMatch(/other nodes do not get it[^]*refuses connections/)
  expect(await type('prober', 'forget', 'p-ap')).toMatchObject({
    code: 3,
    out: 'prober p-ap is removed, on all 3 nodes',
  })
})

test('it is said at how many nodes an override is in force; exit code 1, and their names, when not at all', async () => {
  const all = await type('drain', 'iad', '--why', 'disks')
  expect(all).toMatchObject({ code: 0, out: expect.stringMatching(/^iad is drained until .*, on all 3\s+nodes\n/) })
  nodes = { reached: ['n1', 'n3'], unreached: [{ node: 'n2', why: 'silent for 4 min' }] }
  for (const words of [
    ['drain', 'iad', '--why', 'disks'],
    ['undrain', 'iad'],
  ]) {
    const some = await type(...words)
    expect(some).toMatchObject({ code: 1, out: expect.stringMatching(/on 2 of\s+3 nodes\n/) })
    expect(some.err).toMatch(/^meridian: node n2 goes on as before: silent for 4 min;/)
  }
  notKept = [{ where: 'store', why: 'Redis at 192.0.2.6:6379 refuses connections' }]
  expect((await type('drain', 'iad', '--why', 'disks')).code).toBe(1)
  nodes = { reached: ['n1'], unreached: [] }
  notKept = []
  expect((await type('drain', 'iad', '--why', 'disks')).out).toMatch(/at this node,\s+which knows of no other\n/)
})

test.each([
  [['drain', 'iad'], /--why is missing/],
  [['force', 'iad', 'up'], /--why is missing/],
  [['force', 'iad', 'sideways', '--why', 'x'], /Allowed choices are up, down, off/],
  [['force', 'iad'], /missing required argument/],
  [['undrain', 'iad', '--for', '2h'], /unknown option/],
  [['undrain', 'iad', '--to', '50%'], /unknown option/],
  [['drill', 'iad', '--why', 'x'], /a drill needs --for and --why/],
])('%j is wrong usage, and nothing is done', async (args, error) => {
  const { code, err } = await type(...args)
  expect(code).toBe(2)
  expect(err).toMatch(error)
  expect(heard).toEqual([])
})

test('a duration that is none is told by the node, and nothing is done', async () => {
  const { code, err } = await type('drain', 'iad', '--why', 'x', '--for', 'tomorrow')
  expect([code, err]).toEqual([2, 'meridian: for: is not a duration like 30m, 2h or 1d, from 1s to 365d']) // the socket is well
  expect(heard).toEqual([])
})

test('is it safe to drain? exit code 0 or 1, and nothing is done', async () => {
  const safe = await type('drain', 'iad', '--dry-run')
  expect(safe.code).toBe(0)
  expect(safe.out).toMatch(/^SAFE to drain iad: enough is left\n {2}1 member: iad/)
  const unsafe = await type('drain', 'fra', '--dry-run')
  expect(unsafe.code).toBe(1)
  expect(unsafe.out).toMatch(/^NOT SAFE to drain fra: too little is left/)
  expect(unsafe.out).toMatch(/web +100 % +10 % +25 % +TOO LITTLE/)
  expect((await type('drain', 'nowhere', '--dry-run')).err).toContain('nothing is named nowhere')
  expect(heard).toEqual([])
})

test('databases are accepted, and what they move is told', async () => {
  expect(await type('geo', 'accept', '--who', 'kim')).toEqual({
    code: 0,
    out: 'the new databases are accepted and will be loaded now: they move 12.0 % of the clients of web:\n  12.0 % fra → iad',
    err: '',
  })
  const { code, err } = await type('geo', 'accept', '--who', 'sam')
  expect([code, err]).toEqual([1, 'meridian: refused: no database waits to be accepted'])
  expect(heard).toEqual([
    { who: 'kim', build: undefined },
    { who: 'sam', build: undefined },
  ])
})

test('zones are accepted, and what they move is told', async () => {
  expect(await type('zones', 'accept', '--who', 'kim')).toEqual({
    code: 0,
    out: 'the new zones are accepted and will be loaded now; clients move: 12.0 % of the IPv4 clients of web\n  (12.0 % fra → iad)',
    err: '',
  })
  const { code, err } = await type('zones', 'accept', '--who', 'sam')
  expect([code, err]).toEqual([1, 'meridian: refused: no zones wait to be accepted'])
  expect(heard).toEqual([
    { who: 'kim', build: undefined },
    { who: 'sam', build: undefined },
  ])
})

test('a node is forgotten as a prober is, and those that have not acknowledged it are named', async () => {
  nodes = { reached: ['n1', 'n3'], unreached: [{ node: 'n2', why: 'has not acknowledged it so far' }] }
  const { code, out, err } = await type('node', 'forget', 'n-ap', '--who', 'kim')
  expect([code, out]).toEqual([1, 'node n-ap is removed, on 2 of 3 nodes'])
  expect(err).toMatch(/^meridian: node n2 goes on as before: has not acknowledged it so far;/)
  expect(await type('node', 'forget', 'n-eu')).toMatchObject({ code: 1, err: 'meridian: refused: n-eu is live' })
  expect(heard[0]).toEqual({ kind: 'node', name: 'n-ap', who: 'kim' })
})

test('a prober is forgotten by its name', async () => {
  expect(await type('prober', 'forget', 'p-ap', '--who', 'kim')).toMatchObject({
    code: 0,
    out: expect.stringContaining('p-ap'),
  })
  expect(await type('prober', 'forget', 'p-eu', '--who', 'kim')).toMatchObject({
    code: 1,
    err: 'meridian: refused: p-eu is live',
  })
  expect(heard).toEqual([
    { kind: 'prober', name: 'p-ap', who: 'kim' },
    { kind: 'prober', name: 'p-eu', who: 'kim' },
  ])
})

test('who it is comes from the keyboard, also behind sudo', async () => {
  expect(whoAmI({ SUDO_USER: 'kim', USER: 'root' })).toBe(`kim@${hostname()}`)
  expect(whoAmI({ USER: 'lee' })).toBe(`lee@${hostname()}`)
  expect(whoAmI({})).toMatch(/^.+@.+$/)
  await type('undrain', 'iad')
  expect(heard).toMatchObject([{ who: whoAmI() }])
})

test('another node takes orders by address with its token, and with no other', async () => {
  const token = secretOf('ops')
  const address = `127.${100 + (process.pid % 100)}.61.2`
  open.push(await listenTcp(makeApp(node, guardOf({ ops: ['drain'] })), address, 8053))
  const words = ['undrain', 'iad', '--at', `http://${address}:8053`]
  const file = join(folder, 'token')
  writeFileSync(file, `${token}x\n`)
  expect((await type(...words, '--token-file', file)).code).toBe(1)
  expect(heard).toEqual([])
  writeFileSync(file, `${token}\n`)
  expect((await type(...words, '--token-file', file)).code).toBe(0)
  vi.stubEnv('MERIDIAN_TOKEN', token)
  expect((await type(...words)).code).toBe(0)
  vi.unstubAllEnvs()
  const who = `${whoAmI()} (token ops)`
  expect(heard).toMatchObject([{ who }, { who }])
  expect(await type('force', 'iad', 'up', '--why', 'x', ...words.slice(2), '--token-file', file)).toMatchObject({
    code: 1,
    err: expect.stringContaining('the token ops does not have the scope force'),
  })
  const missing = await type(...words, '--token-file', `${file}s`)
  expect(missing).toMatchObject({ code: 1, err: expect.stringContaining("the token can't be read") })
})

test('a secret is no flag: every user sees the arguments of a process', async () => {
  for (const [flag, value] of [
    ['http-token', 'a-token-of-this-test'],
    ['redis', 'redis://kim:battery-staple@192.0.2.6'],
    ['redis', 'redis+sentinel://192.0.2.6/m?sentinel-password=battery-staple'],
  ] as const) {
    const told = await type('status', `--${flag}`, value)
    expect(told).toMatchObject({ code: 1, err: expect.stringContaining('can be read by every user') })
    expect(told.err).not.toMatch(/battery|a-token/)
  }
  expect((await type('status', '--token', 'a-token-of-this-test')).err).toContain("unknown option '--token'")
})

test('a freeze is told with its end, who and why, and so is its end', async () => {
  const { code, out } = await type('freeze', '--for', '2h', '--why', 'the probers move', '--who', 'kim')
  expect(code).toBe(0)
  expect(out.replaceAll(/\s+/g, ' ')).toBe(
    'FROZEN by kim@ops1 until 2026-11-25 15:00 UTC (in 60 min): the probers move: verdicts change no answers; 2 members go against the verdicts; api by them all the same: all that it names is down, on all 3 nodes',
  )
  nodes = { reached: ['n1'], unreached: [{ node: 'n2', why: 'version 0.9, which knows no freeze and no return' }] }
  const over = await type('unfreeze', '--who', 'kim')
  expect(over.code).toBe(1)
  expect(over.out).toContain('The freeze is over on 1 of 2 nodes: verdicts change answers again.')
  expect(over.err).toContain('node n2 goes on as before: version 0.9')
  expect(heard).toEqual([
    { action: 'freeze', forMs: 7_200_000, who: 'kim', why: 'the probers move' },
    { action: 'unfreeze', who: 'kim', why: '' },
  ])
  expect((await type('freeze', '--why', 'w')).code).toBe(2)
  expect((await type('freeze', '--for', '2h')).code).toBe(2)
})

test('a return tells what is left, who else is not usable, what waits, and a freeze', async () => {
  const { code, out, err } = await type('return', 'fra', '--who', 'kim')
  expect(code).toBe(1)
  expect(out).toContain('fra/web has its clients again, on all 3 nodes')
  expect(out).toMatch(/web +100 % +67 % +25 % +sin is down/)
  expect(err).toContain('fra/api stays passed over, for it is still not well (connection refused)')
  expect(err).toContain('FROZEN by kim@ops1')
  expect(await type('return', 'fra', '--yes', '--why', 'it has caught up')).toMatchObject({ code: 0, err: '' })
  expect(heard).toEqual([
    { pattern: 'fra', who: 'kim', why: '', yes: false },
    { pattern: 'fra', who: whoAmI(), why: 'it has caught up', yes: true },
  ])
  const refused = await type('return', 'ams')
  expect(refused.code).toBe(1)
  expect(refused.err).toContain('nothing of ams awaits a return')
})
