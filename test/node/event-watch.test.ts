/** What has a state, and events of its changes: probers, nodes, Redis, certificates, threads. */
import { expect, test } from 'vitest'
import type { NewEvent } from '../../src/events/event.ts'
import {
  fleetFacts,
  ownCertificateFacts,
  siteCertificateFacts,
  storeFact,
  threadCounts,
} from '../../src/node/event-sources.ts'
import { EventWatch, type Fact, type ThreadCount } from '../../src/node/event-watch.ts'
import { snapshot } from '../cli/fleet.ts'

/** A watch whose time is that of the test. */
function watch() {
  const events: NewEvent[] = []
  const seen = { facts: [] as readonly Fact[], threads: [] as readonly ThreadCount[] }
  const looking = new EventWatch({
    facts: () => seen.facts,
    threads: () => seen.threads,
    add: (event) => events.push(event),
  })
  const beganMs = performance.now()
  const look = (afterMs: number): string[] => {
    looking.look(beganMs + afterMs)
    return events
      .splice(0)
      .map(({ kind, subject, before, after, severity }) => `${severity} ${kind} ${subject}: ${before} → ${after}`)
  }
  return { seen, look }
}

const [probe] = snapshot.probers
const prober = (name: string, live = true) => ({ ...probe!, prober: name, live })
const [other] = snapshot.nodes.filter(({ self }) => !self)
const node = (name: string, more: object = {}) => ({
  ...other!,
  beat: { ...other!.beat, node: { name, bootId: 'b' } },
  live: true,
  viewDiffersMs: 0,
  verdictsDifferMs: 0,
  ...more,
})

test('what is there at the start is no news; what comes, changes and goes later is', () => {
  const { seen, look } = watch()
  const facts = (
    probers: ReturnType<typeof prober>[],
    nodes: ReturnType<typeof node>[],
    doubts = new Map<string, string>(),
  ) => (seen.facts = fleetFacts({ probers, nodes }, doubts))
  facts([prober('p1'), prober('p2', false)], [node('n2')])
  expect(look(1_000)).toEqual([])
  facts([prober('p1'), prober('p2'), prober('p3')], [node('n2'), node('n3')])
  expect(look(2_000)).toEqual(['info prober p2: silent → live']) // the others come while all come
  facts(
    [prober('p1', false), prober('p2'), prober('p3'), prober('p4')],
    [node('n2', { live: false }), node('n3'), node('n4')],
  )
  expect(look(20_000)).toEqual([
    'warning prober p1: live → silent',
    'info prober p4: null → live',
    'warning node n2: live → silent',
    'info node n4: null → live',
  ])
  expect(look(21_000)).toEqual([])
  facts([prober('p2'), prober('p3'), prober('p4')], [node('n3')], new Map([['p3', 'disagrees']]))
  expect(look(22_000)).toEqual([
    'info prober p1: silent → removed',
    'info node n2: silent → removed',
    'info node n4: live → ended',
    'warning prober p3: live → disagrees',
  ])
  facts([prober('p2'), prober('p3'), prober('p4')], [node('n3', { viewDiffersMs: 59_999 })])
  expect(look(23_000)).toEqual(['info prober p3: disagrees → live'])
  facts([prober('p2'), prober('p3'), prober('p4')], [node('n3', { viewDiffersMs: 60_000 })])
  expect(look(24_000)).toEqual(['warning node n3: live → serves something else'])
  facts([prober('p2'), prober('p3'), prober('p4')], [node('n3', { verdictsDifferMs: 60_000 })])
  expect(look(25_000)).toEqual(['warning node n3: serves something else → has other verdicts'])
})

test('Redis and certificates: what is not well is news at once, and so is its end', () => {
  const { seen, look } = watch()
  const dayMs = 86_400_000
  const ending = { name: 'www.example', address: '192.0.2.1', port: 443, endMs: 100 * dayMs, isEnding: true }
  const at = (nowMs: number, redis: string | undefined, trouble?: string): void => {
    seen.facts = [
      storeFact(redis),
      ...ownCertificateFacts(
        [
          ['/tls.pem', { endsMs: 110 * dayMs, trouble }],
          ['/http.pem', { endsMs: 115 * dayMs, trouble: undefined }],
          ['/not-in-use.pem', undefined],
        ],
        nowMs,
      ),
      ...(nowMs < 104 * dayMs ? siteCertificateFacts([ending], nowMs) : []),
    ]
  }
  at(95 * dayMs, undefined)
  expect(look(1)).toEqual(['warning certificate www.example: null → ends soon'])
  at(97 * dayMs, 'Redis refuses connections')
  expect(look(2)).toEqual([
    'warning store Redis: works → in trouble',
    'warning certificate /tls.pem: valid until 1970-04-21 → ends soon',
  ])
  at(101 * dayMs, undefined, 'the key is not that of the certificate')
  expect(look(3)).toEqual([
    'info store Redis: in trouble → works',
    'warning certificate /tls.pem: ends soon → new one refused',
    'warning certificate www.example: ends soon → expired',
  ])
  at(111 * dayMs, undefined)
  expect(look(4)).toEqual([
    'info certificate www.example: expired → replaced',
    'warning certificate /tls.pem: new one refused → expired',
    'warning certificate /http.pem: valid until 1970-04-26 → ends soon',
  ])
})

const server = (died: number, stalled: number) => ({ udp: { died, stalled }, tcp: { died: 0, stalled: 0 } })

test('threads that were replaced are told, each time', () => {
  const { seen, look } = watch()
  const at = (died: number, stalled: number, restarts: number): void => {
    seen.threads = threadCounts(server(died, stalled), restarts)
  }
  at(0, 0, 0)
  expect(look(1)).toEqual([])
  at(1, 0, 0)
  expect(look(2)).toEqual(['warning thread answering threads: running → died, replaced'])
  expect(look(3)).toEqual([])
  at(3, 1, 1)
  expect(look(4)).toEqual([
    'warning thread answering threads: running → stood still, replaced',
    'warning thread threads of the prober: running → died, replaced',
  ])
})
