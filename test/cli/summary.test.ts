/** `meridian status` by default: one screen, what is hurt first and by site, however large the fleet is. */
import { expect, test } from 'vitest'
import { recentChanges } from '../../src/api/recent.ts'
import type { FleetEvent } from '../../src/events/event.ts'
import type { Rates } from '../../src/api/rates.ts'
import { nextDrillOf } from '../../src/api/status.ts'
import { type Summary, summaryOf } from '../../src/api/summary.ts'
import { coloured } from '../../src/cli/words/colours.ts'
import { fit, summaryInWords } from '../../src/cli/words/summary.ts'
import type { HealthOverview, MemberStanding } from '../../src/health/node-health.ts'
import { NO_RATES, prober, served, snapshot } from './fleet.ts'
import { fleetEvent } from '../support/fleet-event.ts'

const RATES: Rates = {
  ...NO_RATES,
  queriesPerSecond: 1203.4,
  sites: [{ site: 'iad', answersPerSecond: 700 }],
  stages: [
    { stage: 'nearest', answersPerSecond: 668.5 },
    { stage: 'spill', answersPerSecond: 30.4 },
    { stage: 'drained', answersPerSecond: 1.5 },
  ],
}
const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value))
const wide = (text: string): string[] => text.split('\n').filter((line) => line.length > 100)

const standing = (service: string, site: string, more: Partial<MemberStanding> = {}): MemberStanding => ({
  member: `${site}/${service}/192.0.2.1`,
  site,
  service,
  state: 'up',
  held: false,
  dissent: undefined,
  braked: false,
  frozen: false,
  share: 1000,
  why: '200 (3 of 3 say up)',
  ageMs: 86_400_000,
  ...more,
})

const calm = {
  probers: [],
  nodes: [],
  overrides: [],
  freeze: null,
  troubles: [],
  store: { ...snapshot.store, trouble: undefined },
}
const overview = (members: readonly MemberStanding[], more: Partial<HealthOverview> = {}): HealthOverview => ({
  ...snapshot,
  ...calm,
  members,
  services: [...new Set(members.map(({ service }) => service))].map((service) => {
    const own = members.filter((one) => one.service === service)
    const up = own.filter(({ state }) => state === 'up').length
    const leftPercent = (100 * up) / own.length
    const lastResort = up === 0
    const none = { braked: [], failedOver: [], yields: false, unanswered: [] }
    return { service, leftPercent, largestSitePercent: 34, keepPercent: 25, ...none, lastResort }
  }),
  ...more,
})

/** `events`: the oldest first. */
const summary = (health: HealthOverview, events: readonly FleetEvent[] = []): Summary =>
  overTheWire(summaryOf({ ...served(), rates: () => RATES, health, prober }, recentChanges(events.toReversed())))

const NAMES = Array.from({ length: 102 }, (_, i) => `s${String(i).padStart(3, '0')}`)
const DOWN = { state: 'down', why: 'connection refused (2 of 3 say down)', ageMs: 7_200_000 } as const
const SITES = ['ams', 'fra', 'iad'] as const

/** 102 services at three sites, of which fra is dead. */
const fraIsDead = (): MemberStanding[] =>
  NAMES.flatMap((name) => SITES.map((site) => standing(name, site, site === 'fra' ? DOWN : {})))

test('a dead site with 102 services is one line, the second on the screen, with since when and why', () => {
  const [first, second, ...rest] = summaryInWords(summary(overview(fraIsDead()))).split('\n')
  expect(first).toMatch(/^n1 {2}ready/)
  const at = new Date(Date.now() - 7_200_000).toISOString().slice(11, 16)
  expect(second).toBe(`! fra: 102 of 102 services DOWN since ${at} UTC (2 h): connection refused (2 of 3 say down)`)
  expect(rest.filter((line) => line.startsWith('!'))).toEqual([])
  expect(rest.join('\n')).toContain('102 services, 306 members: 0 well, 102 hurt')
  expect(rest).toContain('  s000  67 % left  keep 25 %  DOWN: fra')
  expect(rest).toContain('1,203 queries/s; answers/s by site: iad 700; not at the nearest: spill 30, drained 1.5')
  expect(rest).toContain('Redis is connected; probing 12 of 30 targets, 2 being handed over, 4 OVERDUE')
})

test('the worst site comes first; a part of a site is told with its services, each wound on its own line', () => {
  const members = fraIsDead()
  members.push(
    standing('s000', 'ams', DOWN), // a second VIP
    standing('s001', 'iad', { ...DOWN, why: 'timeout', ageMs: 60_000 }),
    standing('s002', 'iad', { held: true, why: 'held: 1 of 2' }),
    standing('s003', 'iad', { braked: true, why: 'DOWN, but the brake keeps it' }),
    standing('s004', 'iad', { state: 'drained', why: 'drained by kim@ops1' }),
  )
  const calls = summaryInWords(summary(overview(members)), 60)
    .split('\n')
    .filter((line) => line.startsWith('! '))
  expect(calls.map((line) => line.slice(2, 60))).toEqual([
    expect.stringMatching(/^fra: 102 of 102 services DOWN/),
    expect.stringMatching(/^iad: 1 of 102 services with a VIP DOWN/),
    expect.stringMatching(/^iad: 1 of 102 services with a VIP BRAKED/),
    expect.stringMatching(/^iad: 1 of 102 services with a VIP HELD/),
    expect.stringMatching(/^iad: 1 of 102 services with a VIP DRAINED/),
    expect.stringMatching(/^ams: 1 of 102 services with a VIP DOWN/),
  ])
  expect(calls[1]).toContain('(s001) since')
  expect(calls[1]).toContain('timeout')
})

test('a service without any usable member is told before those that have some left', () => {
  const members = [...fraIsDead(), standing('zzz', 'fra', DOWN)]
  const words = summaryInWords(summary(overview(members)))
  expect(words).toContain('! LAST RESORT: no member is usable of zzz')
  const rows = words.split('\n').filter((line) => line.includes(' left '))
  expect(rows[0]).toMatch(/^ {2}zzz +0 % left +keep 25 % +LAST RESORT; DOWN: fra/)
})

test('a type that has no address left stands above the sites, and its service first', () => {
  const seen = overview(fraIsDead())
  const services = seen.services.map((one) => (one.service === 's050' ? { ...one, unanswered: ['A' as const] } : one))
  const lines = summaryInWords(summary({ ...seen, services })).split('\n')
  expect(lines[1]).toBe('! NO ADDRESS for A of s050: all members that have one are down')
  expect(lines[2]).toMatch(/^! fra: /)
  expect(lines.find((line) => line.includes(' left '))).toMatch(/^ {2}s050 .* NO ADDRESS for A; DOWN: fra/)
})

test('while Redis is away it stands above what is held for lack of votes, and is the remedy', () => {
  const dissent = { says: 'down', lack: '1 of 2 needed', ageMs: 5_000 } as const
  const members = SITES.map((site) => standing('web', site, { held: true, dissent, why: 'held' }))
  const store = { ...snapshot.store, trouble: 'Redis at 192.0.2.6:6379 does not answer (for 5 s)' }
  const silent = snapshot.probers.map((one) => ({ ...one, live: false }))
  const calls = summaryInWords(summary(overview(members, { store, probers: silent })), 60)
    .split('\n')
    .filter((line) => line.startsWith('! '))
  expect(calls[0]).toMatch(/^! Redis at 192\.0\.2\.6:6379 does not answer/)
  expect(calls.slice(1, 4).every((line) => line.includes('HELD UP'))).toBe(true)
  const words = calls.join(' ')
  expect(words).toContain('Mend Redis: no votes come without it')
  expect(words).not.toContain('silent')
  const shown = summaryInWords(summary(overview(members, { store, probers: silent, nodes: snapshot.nodes })), 60)
  expect(shown.replaceAll(/\s+/g, ' ')).toContain('probers 3, not heard now; nodes 6, not heard now')
  expect(shown).not.toMatch(/\d of \d live/)
})

test('1,000 services at ten sites with everything wrong are one screen, and every kind of trouble is on it', () => {
  const sites = Array.from({ length: 10 }, (_, i) => `site${i}`)
  const states = ['down', 'unproven', 'drained', 'forced', 'up'] as const
  const members = Array.from({ length: 1000 }, (_, i) => `service-${i}`).flatMap((name, i) =>
    sites.map((site, j) => {
      const state = states[(i + j) % states.length]!
      return standing(name, site, { state, held: state === 'up', why: `reason ${i % 7}`, ageMs: 1000 * i })
    }),
  )
  const { probers, nodes, overrides, store, troubles } = snapshot
  const events = Array.from({ length: 60 }, (_, i) => fleetEvent({ before: `1a2b3c${i}`, after: `1a2b3c${i + 1}` }))
  const seen = summary(overview(members, { probers, nodes, overrides, store, troubles }), events)
  for (const rows of [24, 40]) {
    const words = summaryInWords(seen, rows)
    expect(words.split('\n').length).toBeLessThan(rows)
    expect(wide(words)).toEqual([])
    for (const part of [
      'site0: ',
      'refuses connections',
      'queries/s',
      '1,000 hurt',
      'drained (1 member)',
      'last changes',
    ])
      expect(words, part).toContain(part)
  }
  expect(summaryInWords(seen, 24)).toMatch(/… and \d+ more: meridian status --hurt/)
  // what the screen has no room for is not sent either
  expect(JSON.stringify(seen).length).toBeLessThan(60_000)
})

test('the next scheduled drill is told, and none where there is none', () => {
  const seen = summary(overview([standing('web', 'fra')]))
  const fromMs = Date.UTC(2026, 11, 1, 9)
  const nextDrill = { name: 'fra-monthly', site: 'fra', forMs: 1_800_000, fromMs, toMs: fromMs + 7_200_000 }
  const line = 'next drill: fra-monthly, fra for 30m, 2026-12-01 09:00 UTC'
  expect(summaryInWords({ ...seen, nextDrill })).toContain(line)
  expect(summaryInWords(seen)).not.toContain('next drill')
})

test('the drill whose window opens first is the next, blocked dates left out', async () => {
  const window = { days: [{ kind: 'weekday', weekday: 2 }], fromMinutes: 600, toMinutes: 720, zone: 'UTC' } as const
  const drill = { name: 'a', site: 'fra', window, forMs: 60_000, abortIf: [], at: { file: '', line: 1, column: 1 } }
  const day = Date.UTC(2026, 11, 1) / 86_400_000
  const drills = [drill, { ...drill, name: 'b', window: { ...window, fromMinutes: 540 } }]
  const next = (blocked: { first: number; last: number }[]) => nextDrillOf({ drills, blocked }, Date.UTC(2026, 10, 30))
  expect(next([])).toMatchObject({ name: 'b', fromMs: Date.UTC(2026, 11, 1, 9) })
  expect(next([{ first: day, last: day }])).toMatchObject({ name: 'b', fromMs: Date.UTC(2026, 11, 8, 9) })
  expect(nextDrillOf({ drills: [], blocked: [] }, 0)).toBe(null)
  const short = {
    days: [{ kind: 'weekday', weekday: 0 }],
    fromMinutes: 120,
    toMinutes: 180,
    zone: 'Europe/Berlin',
  } as const
  const all = { drills: [{ ...drill, window: short }], blocked: [] }
  // 2027-03-28 has no such hour
  expect(nextDrillOf(all, Date.UTC(2027, 2, 27))).toMatchObject({ fromMs: Date.UTC(2027, 3, 4) })
})

test('when all is well nothing calls, and the screen says how much there is', () => {
  const words = summaryInWords(summary(overview(NAMES.map((name) => standing(name, 'fra')))))
  expect(words).not.toMatch(/^!/m)
  expect(words).toContain('102 services, 102 members: all well')
  expect(words).not.toContain('overrides')
})

test('other troubles call too: Redis, the state folder, orphaned overrides, other views', () => {
  const { probers, nodes, overrides, store, troubles } = snapshot
  const words = summaryInWords(summary(overview([], { probers, nodes, overrides, store, troubles })), 60)
  for (const line of [
    'Redis at 192.0.2.6:6379 refuses connections; the last known health stays in use',
    'saved health can not be written',
    'overrides ORPHANED (they match no member): lhr',
    'overrides that last LONGER than overrides.maxFor: lhr',
    "nodes whose CLOCK differs from this one's: n6 (30 min ahead)",
    'nodes that serve other zones, databases or versions than this one: n3',
    'nodes with other verdicts than this one: n2, n4',
  ])
    expect(words.split('\n')).toContain(`! ${line}`)
  expect(words).not.toContain('probers SILENT') // without Redis everyone is silent
})

test('silent probers call while Redis works', () => {
  const words = summaryInWords(summary(overview([], { probers: snapshot.probers })))
  expect(words.split('\n')).toContain(
    '! probers SILENT (no heartbeat): p-ap; one is gone for good? meridian prober forget NAME',
  )
})

test('a node that is silent is told, but not while Redis is away: everyone is silent then', () => {
  const line = '! nodes SILENT (ended, standing still, or cut off from Redis): n5 for 0 s;'
  const well = { ...snapshot, store: { ...snapshot.store, trouble: undefined } }
  expect(summaryInWords(summary(well), 60)).toContain(line)
  expect(summaryInWords(summary(snapshot), 60)).not.toContain('nodes SILENT')
})

const change = (member: string, atMs: number, more: Partial<FleetEvent> = {}): FleetEvent => {
  const [site = '', service = ''] = member.split('/')
  return fleetEvent({
    kind: 'verdict',
    subject: member,
    site,
    service,
    atMs,
    before: 'up',
    after: 'down',
    why: 'timeout',
    ...more,
  })
}

test('members of a site that change alike within seconds are one change; another way or later is another', () => {
  const events = [
    ...Array.from({ length: 102 }, (_, i) => change(`fra/s${i}/192.0.2.1`, 50 * i)),
    change('iad/s1/192.0.2.2', 6_000, { after: 'braked', why: 'less than 25 % would be left' }),
    change('fra/s1/192.0.2.1', 7_000, { before: 'down', after: 'up' }),
    change('fra/s7/192.0.2.1', 60_000),
    fleetEvent({ kind: 'override', subject: 'fra', after: 'drained', why: 'by kim: disks', atMs: 61_000 }),
  ]
  const seen = summary(overview([]), events)
  expect(seen.changes).toMatchObject([
    { kind: 'event', what: 'override fra: drained: by kim: disks' },
    { site: 'fra', after: 'down', members: 1, atMs: 60_000 },
    { site: 'fra', after: 'up', members: 1 },
    { site: 'iad', after: 'braked', braked: true, members: 1 },
    { site: 'fra', after: 'down', braked: false, members: 102, atMs: 0, member: 'fra/s0/192.0.2.1' },
  ])
  const words = summaryInWords(seen)
  expect(words).toMatch(/^ {2}1970-01-01 00:00 fra: 102 members are DOWN \(up before\): timeout$/m)
  expect(words).toMatch(/^ {2}1970-01-01 00:00 iad\/s1\/192\.0\.2\.2 is kept by the BRAKE \(up before\): less than/m)
  expect(words).toMatch(/^ {2}1970-01-01 00:01 fra\/s7\/192\.0\.2\.1 is DOWN \(up before\): timeout$/m)
})

test('a change after another change of its member is a new entry, however soon: nobody reads history backwards', () => {
  const names = ['fra/api/192.0.2.1', 'fra/web/192.0.2.1', 'fra/web/192.0.2.2']
  const both = (before: string, after: string, atMs: number, those = names): FleetEvent[] =>
    those.map((name) => change(name, atMs, { before, after }))
  const events = [
    ...both('down', 'up', 0, names.slice(0, 2)),
    ...both('up', 'down', 4_000),
    ...both('down', 'up', 8_000),
  ]
  expect(summary(overview([]), events).changes).toMatchObject([
    { before: 'down', after: 'up', members: 3, atMs: 8_000 },
    { before: 'up', after: 'down', members: 3, atMs: 4_000 },
    { before: 'down', after: 'up', members: 2, atMs: 0 },
  ])
})

const lines = (name: string, number: number): string[] => Array.from({ length: number }, (_, i) => `${name}${i}`)

test('a screen gives each section its least lines, the rest to the first, and says what is left out', () => {
  const sections = [
    { lines: lines('a', 5), least: 2, more: 'more of a' },
    { lines: [], least: 3, more: 'none' },
    { title: 'B', lines: lines('b', 9), least: 1, more: 'more of b', total: 90 },
  ]
  expect(fit(sections, 9).split('\n')).toEqual([
    'a0',
    'a1',
    'a2',
    'a3',
    'a4',
    '',
    'B; 2 of 90 here, all with meridian more of b',
    'b0',
    'b1',
  ])
  expect(fit(sections, 6).split('\n')).toEqual([
    'a0',
    'a1',
    '  … and 3 more: meridian more of a',
    '',
    'B; 1 of 90 here, all with meridian more of b',
    'b0',
  ])
})

test('colours: what is wrong, and no others; without them the text is the same', () => {
  const text = summaryInWords(summary(overview(fraIsDead())))
  const painted = coloured(text)
  expect(painted).toContain('\u001B[31mDOWN\u001B[0m since')
  expect(painted).toContain('\u001B[32mready\u001B[0m')
  // oxlint-disable-next-line no-control-regex
  expect(painted.replaceAll(/\u001B\[\d+m/g, '')).toBe(text)
})

test('a site that is up for lack of votes alone is told as such, since when, and with what to do', () => {
  const dissent = { says: 'down', lack: '1 of 2 needed', ageMs: 240_000 } as const
  const HELD = { held: true, dissent, why: 'HELD UP for lack of votes (1 of 2 needed): timeout' } as const
  const members = [standing('web', 'fra', HELD), standing('api', 'fra'), standing('web', 'iad', { held: true })]
  const probers = [{ prober: 'p2', region: 'us', live: false, beat: undefined, ageMs: 300_000 }]
  const shown = summaryInWords(summary(overview(members, { probers }))).split('\n')
  const at = new Date(Date.now() - 240_000).toISOString().slice(11, 16)
  expect(shown[1]).toContain(
    `! fra: 1 of 2 services HELD UP (all votes say DOWN) (web) since ${at} UTC (4 min): HELD UP`,
  )
  expect(shown.join(' ').replaceAll(/\s+(?:! +)?/g, ' ')).toContain(
    'HELD UP for lack of votes: fra. Bring back the silent prober p2, or decide by hand: meridian force fra/web down',
  )
  expect(shown.join('\n')).toMatch(/web +100 % left +keep 25 % +HELD UP: fra; HELD: iad/)
  expect(wide(shown.join('\n'))).toEqual([])
})

test('a freeze and sites that await their return are told, with what ends them', () => {
  const freeze = {
    node: 'n1',
    who: 'kim@ops1',
    why: 'the probers move',
    madeMs: 0,
    untilMs: Date.UTC(2026, 10, 25, 15),
    leftMs: 3_600_000,
    down: 0,
    kept: 1,
    yields: [],
  }
  const members = [
    standing('web', 'fra', { state: 'recovered', why: 'well again' }),
    standing('web', 'iad', { frozen: true, why: 'FROZEN UP by kim@ops1' }),
    standing('web', 'sin'),
  ]
  const told = summaryInWords(summary(overview(members, { freeze })))
  expect(told).toMatch(/^! FROZEN by kim@ops1 until 2026-11-25 15:00 UTC \(in 60 min\): the probers move/m)
  expect(told).toMatch(/^! fra: 1 of 1 service RECOVERED \(awaits meridian return\) since .*: well/m)
  expect(told).toMatch(/^! iad: 1 of 1 service FROZEN \(against its verdict\) since .*: FROZEN UP/m)
  expect(told).toMatch(/web .*FROZEN: iad; RECOVERED: fra/)
})
