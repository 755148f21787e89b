/** `meridian status`: everything that a snapshot has is in its words, on 100 columns, and whole in its JSON. */
import { expect, test } from 'vitest'
import { proberStatusOf } from '../../src/api/prober-status.ts'
import { type Status, statusOf } from '../../src/api/status.ts'
import { nodeInWords } from '../../src/cli/status.ts'
import { proberInWords } from '../../src/cli/words/prober.ts'
import { ANSWERS, drain, served, snapshot } from './fleet.ts'

/** As it comes over the socket. */
const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value))
const status: Status = overTheWire(statusOf(served()))
const words = nodeInWords(status)

/** The lines from one that begins so to the next that is indented less than its details. */
const block = (start: string): string => {
  const lines = words.split('\n')
  const first = lines.findIndex((line) => line.startsWith(start))
  const next = lines.findIndex((line, i) => i > first && !line.startsWith('      '))
  return lines.slice(first, next).join('\n')
}

test('no line is wider than 100 columns', () => {
  const long = statusOf(served({ ...snapshot, troubles: ['x'.repeat(30).concat(' ').repeat(20)] }))
  for (const line of [words, nodeInWords(overTheWire(long))].join('\n').split('\n'))
    expect(line.length).toBeLessThanOrEqual(100)
})

test.each([
  'Redis at 192.0.2.6:6379 refuses connections',
  'saved health can not be written',
  'web: BRAKE: voted DOWN, but kept in answers: sin/web/192.0.2.3',
  'web: 1 drained, 1 unproven, 2 held, 1 braked of 6 members',
  'api: LAST RESORT: no member is usable',
  'overrides ORPHANED (they match no member): lhr',
  'overrides that last LONGER than overrides.maxFor: lhr',
  "nodes whose CLOCK differs from this one's: n6 (30 min ahead)",
  'nodes that serve other zones, databases or versions than this one: n3',
  'nodes with other verdicts than this one: n2, n4',
])('attention is called to: %s', (line) => {
  expect(words.split('\n')).toContain(`! ${line}`)
})

test('silent probers are named while Redis works; without it everyone is silent', () => {
  const works = served({ ...snapshot, store: { ...snapshot.store, trouble: undefined } })
  expect(nodeInWords(overTheWire(statusOf(works)))).toContain('! probers SILENT (no heartbeat): p-ap')
  expect(words).not.toContain('probers SILENT')
})

test('a verdict that stands for lack of votes alone comes first, with what is missing and what to do', () => {
  const lines = words.split('\n')
  const first = lines.findIndex((line) => line.startsWith('! '))
  expect(lines.slice(first + 1, first + 3)).toEqual([
    '! mad is HELD UP: all votes that there are say DOWN (1 of 2 needed), of web. Mend Redis: no votes',
    '!   come without it, or decide by hand: meridian force mad down',
  ])
  const works = served({ ...snapshot, store: { ...snapshot.store, trouble: undefined } })
  const remedy = nodeInWords(overTheWire(statusOf(works)))
  expect(remedy).toContain('Bring back the silent\n!   prober p-ap, or decide by hand: meridian force mad down\n')
  expect(block('  mad')).toMatch(/up +for 3 d +HELD UP/)
  expect(words).toContain('kept in answers\n  of that, HELD UP though all votes say DOWN: 1 member\n')
})

test('a node that is silent is told, but not while Redis is away: everyone is silent then', () => {
  const line = '! nodes SILENT (ended, standing still, or cut off from Redis): n5 for 0 s;'
  const well = { ...snapshot, store: { ...snapshot.store, trouble: undefined } }
  expect(nodeInWords(overTheWire(statusOf(served(well))))).toContain(line)
  expect(words).not.toContain(line)
})

test('1,000 services in trouble leave room for what else there is, and the last resorts come first', () => {
  const [service] = snapshot.services
  const [member] = snapshot.members
  const named = Array.from({ length: 1000 }, (_, i) => `s${i}`)
  const services = named.map((name, i) => ({ ...service!, service: name, braked: [], lastResort: i === 999 }))
  const members = named.map((name) => ({ ...member!, service: name, held: true }))
  const told = nodeInWords(overTheWire(statusOf(served({ ...snapshot, services, members }))))
  const calls = told.split('\n').filter((line) => line.startsWith('! '))
  expect(calls.length).toBeLessThan(40)
  expect(calls).toContain('! … and 980 more services like these, below')
  expect(calls.indexOf('! s999: LAST RESORT: no member is usable')).toBeLessThan(
    calls.indexOf('! s0: 1 held of 1 member'),
  )
  expect(calls).toContain('! overrides ORPHANED (they match no member): lhr')
})

test('when all is well nothing calls for attention', () => {
  const [member] = snapshot.members
  const [service] = snapshot.services
  const calm = served({
    ...snapshot,
    members: [member!],
    services: [{ ...service!, braked: [] }],
    probers: snapshot.probers.slice(1, 2),
    nodes: snapshot.nodes.slice(0, 1),
    overrides: [],
    store: { shared: true, trouble: undefined, refused: [] },
    troubles: [],
  })
  const told = nodeInWords(overTheWire(statusOf(calm)))
  expect(told).not.toMatch(/^!/m)
  expect(told).toContain('Redis is connected')
})

test('each prober’s vote is told with its age, round trip and reason', () => {
  expect(block('  sin')).toMatch(/p-eu \(eu\) +DOWN +for 61 s +12 ms +connection refused/)
  expect(block('  sin')).toMatch(/p-us \(us\) +abstain +for 61 s +12 ms +no route/)
  expect(block('  gru')).toContain('no votes')
})

test('a verdict that something stands above is told beside the state', () => {
  expect(block('  sin')).toMatch(/up +for 3 d +BRAKED/)
  expect(block('  sin')).toContain('verdict down: brake: less than 25 % would be left')
  expect(block('  iad')).toMatch(/DRAINED/)
  expect(block('  iad')).toContain('verdict up')
  expect(block('  fra')).not.toContain('verdict')
})

test('an override is told with who, why and until when', () => {
  expect(block('  iad')).toContain('drained by kim@ops1 (iad: disks, ticket 812)')
  expect(block('  iad')).toMatch(/override of iad, until 2026-11-25 15:00 UTC \(in 60 min\)/)
  expect(words).toMatch(/^ {2}iad drained \(1 member\) by kim@ops1/m)
  expect(words).toMatch(/^ {2}lhr forced down \(ORPHANED.*\) by kim@ops1 until undone/m)
})

test('a share below the whole is told with its reason', () => {
  expect(block('  ams')).toMatch(/held share 30 %/)
  expect(block('  ams')).toContain('share: ramps up, full in 3m')
})

test('what is left of a service, and what must be, are beside its name', () => {
  expect(words).toContain(
    'service web  50 % of its capacity left (keep 25 %)  BRAKE: 1 voted DOWN, but kept in answers',
  )
  expect(words).toContain('service api  0 % of its capacity left (no brake)  LAST RESORT: no member is usable')
})

test('probers and nodes are told with what is the matter with them', () => {
  expect(words).toMatch(/p-eu +eu +live +heard 0 s ago +4 OVERDUE, by 15 s/)
  expect(words).toMatch(/p-ap +ap +SILENT +heard 2 h ago/)
  expect(words).toMatch(/n2 +live .* view 11111111 +1a2b3c4-dirty +verdicts 333333 +OTHER verdicts for 6 s/)
  expect(words).toMatch(/n5 +SILENT for 0 s/)
  expect(words).toMatch(/n6 +live .* clock 30 min ahead/)
})

test('the JSON has all of it', () => {
  const { services, probers, nodes, overrides, store, troubles } = status
  expect(services.map(({ members, ...rest }) => ({ ...rest, members: members.length }))).toEqual(
    snapshot.services.map((service) => ({
      ...service,
      answers: service.service === 'web' ? ANSWERS : { answersPerSecond: 0, sites: [] },
      members: service.service === 'web' ? 6 : 0,
    })),
  )
  expect(services[0]!.members).toEqual(overTheWire(snapshot.members))
  expect({ probers, nodes, overrides, troubles }).toEqual(
    overTheWire({
      probers: snapshot.probers,
      nodes: snapshot.nodes,
      overrides: snapshot.overrides,
      troubles: snapshot.troubles,
    }),
  )
  expect(overrides[0]!.override).toEqual(drain)
  expect(store).toEqual({ kind: 'redis', trouble: 'Redis at 192.0.2.6:6379 refuses connections' })
})

test('a prober tells its targets, what they say, and what is held down', () => {
  const told = proberInWords(
    overTheWire(
      proberStatusOf({
        ...served(),
        plan: { hash: 'abcd', zones: 2 },
        store: { shared: true, trouble: undefined, refused: [] },
      }),
    ),
  )
  expect(told).toContain('plan abcd  2 zones')
  expect(told.replaceAll(/\s+/g, ' ')).toContain(
    'probing 12 of 30 targets, 6 of 6.3 checks/s, oldest check 4 s ago, 2 being handed over, 1 held down for flapping',
  )
  expect(told).toMatch(/tcp 192.0.2.1:443 +DOWN +ran 4 s ago +3 ms +connection refused, moving, UP held down for 9 s/)
  expect(told).toMatch(/no vote +not run yet/)
})

test('a prober of many targets is one screen: those that are not up first, and how many more there are', () => {
  const [up, down, none] = served().probing!.report.targets
  const targets = [...Array.from({ length: 500 }, () => up!), down!, none!]
  const seen = overTheWire(
    proberStatusOf({
      ...served(),
      plan: { hash: 'abcd', zones: 2 },
      store: { shared: true, trouble: undefined, refused: [] },
      probing: { ...served().probing!, report: { ...served().probing!.report, targets } },
    }),
  )
  const lines = proberInWords(seen, 24).split('\n')
  expect(lines.length).toBeLessThan(24)
  const first = lines.findIndex((line) => line.startsWith('tcp '))
  expect(lines[first]).toMatch(/DOWN/)
  expect(lines[first + 1]).toMatch(/no vote/)
  const shown = lines.filter((line) => line.startsWith('tcp ')).length
  expect(lines.at(-1)).toBe(`… and ${502 - shown} more targets: meridian status --all`)
  expect(
    proberInWords(seen)
      .split('\n')
      .filter((line) => line.startsWith('tcp ')),
  ).toHaveLength(502)
})

test('of many problems the first are shown: the one to correct first is among them', () => {
  const problems = Array.from({ length: 40 }, (_, i) => ({
    code: i === 0 ? ('yaml-syntax' as const) : ('value-invalid' as const),
    severity: 'error' as const,
    file: 'services.yaml',
    line: i + 1,
    column: 1,
    message: `fault ${i}`,
    hint: 'Write it right',
  }))
  const load = { ok: false, why: 'files changed', agoSeconds: 5, revision: null, problems, failure: null }
  const told = nodeInWords({ ...status, load }).split('\n')
  const first = told.findIndex((line) => line.includes('was REFUSED'))
  const shown = told.slice(first + 1).filter((line) => /fault|more problems/.test(line))
  expect(shown).toEqual([
    '  services.yaml:1:1 yaml-syntax fault 0',
    '  services.yaml:2:1 value-invalid fault 1',
    '  services.yaml:3:1 value-invalid fault 2',
    '  … and 37 more problems: meridian check shows them',
  ])
})
