/** A snapshot of health in which everything there is to show is shown once, and what serves it. */
import type { AnswersRate, Rates } from '../../src/api/rates.ts'
import type { NodeState } from '../../src/api/status.ts'
import { settingFromText, readConfig } from '../../src/config.ts'
import { AnswerCells } from '../../src/counters.ts'
import type { HealthSnapshot, MemberStatus, VoteStatus } from '../../src/health/node-health.ts'
import type { OverrideView } from '../../src/health/override.ts'
import { target, vote } from '../support/specs.ts'

export const configOf = (settings: Readonly<Record<string, string>>): NodeState['config'] => {
  const given = Object.entries(settings).map(([key, value]) => ({ ...settingFromText('state', value, 'test'), key }))
  return readConfig(given, (problem) => {
    throw new Error(problem.message)
  })!
}

export const drain: OverrideView = {
  pattern: 'iad',
  action: 'drain',
  version: 7,
  node: 'n2',
  who: 'kim@ops1',
  why: 'disks, ticket 812',
  madeMs: Date.UTC(2026, 10, 25, 13),
  untilMs: Date.UTC(2026, 10, 25, 15),
  leftMs: 3_600_000,
}

const member = (site: string, address: string, more: Partial<MemberStatus> = {}): MemberStatus => ({
  member: `${site}/web/${address}`,
  site,
  service: 'web',
  address,
  state: 'up',
  verdict: 'up',
  held: false,
  dissent: undefined,
  calm: true,
  unrest: '',
  calmInMs: null,
  why: '200 (3 of 3 say up)',
  share: 1000,
  shareWhy: '',
  braked: false,
  frozen: false,
  override: undefined,
  ageMs: 3 * 24 * 3_600_000,
  targets: [votesOn(`t-${site}`, heard('p-eu', 'eu', 'up', '200'), heard('p-us', 'us', 'up', '200'))],
  ...more,
})

const heard = (prober: string, region: string, value: 'up' | 'down' | 'abstain', reason: string) => {
  const { moving, share } = vote('t', value)
  return { prober, region, value, moving, reason, rttMs: 12, share, ageMs: 61_000 }
}

const votesOn = (id: string, ...votes: readonly VoteStatus[]): MemberStatus['targets'][number] => ({
  target: target(id),
  votes,
  quorum: { asked: 3, downNeeds: 2, upNeeds: 2 },
})

const down = heard('p-eu', 'eu', 'down', 'connection refused')
const node = (name: string, more: object = {}, said: object = {}) => ({
  beat: {
    node: { name, bootId: 'b' },
    sequence: 9,
    version: '0.1.0',
    view: '1111111122222222',
    plan: 'aaaa',
    verdicts: '3333333344444444',
    ...said,
  },
  live: true,
  self: false,
  ageMs: 400,
  viewDiffersMs: 0,
  verdictsDifferMs: 0,
  clockSkewMs: 0,
  ...more,
})

export const snapshot: HealthSnapshot = {
  members: [
    member('fra', '192.0.2.1'),
    member('iad', '192.0.2.2', {
      state: 'drained',
      calm: false,
      override: drain,
      why: 'drained by kim@ops1 (iad: disks, ticket 812)',
    }),
    member('sin', '192.0.2.3', {
      braked: true,
      calm: false,
      verdict: 'down',
      why: 'brake: less than 25 % would be left',
      targets: [votesOn('t-sin', down, heard('p-us', 'us', 'abstain', 'no route'))],
    }),
    member('mad', '192.0.2.6', {
      held: true,
      dissent: { says: 'down', lack: '1 of 2 needed', ageMs: 240_000 },
      calm: false,
      why: 'HELD UP for lack of votes (1 of 2 needed): connection refused (0 up, 1 down of 3 probers)',
      targets: [votesOn('t-mad', down)],
    }),
    member('ams', '192.0.2.4', { share: 300, shareWhy: 'ramps up, full in 3m', calm: false, held: true, ageMs: 2000 }),
    member('gru', '192.0.2.5', {
      state: 'unproven',
      verdict: undefined,
      calm: false,
      why: 'never seen up',
      targets: [votesOn('t-gru')],
    }),
  ],
  services: [
    {
      service: 'web',
      leftPercent: 50.4,
      largestSitePercent: 40,
      keepPercent: 25,
      braked: ['sin/web/192.0.2.3'],
      failedOver: [],
      yields: false,
      lastResort: false,
      unanswered: [],
    },
    {
      service: 'api',
      leftPercent: 0,
      largestSitePercent: 50,
      keepPercent: 0,
      braked: [],
      failedOver: [],
      yields: false,
      lastResort: true,
      unanswered: [],
    },
  ],
  probers: [
    {
      prober: 'p-eu',
      region: 'eu',
      live: true,
      beat: {
        prober: { name: 'p-eu', region: 'eu', bootId: 'b' },
        sequence: 3,
        configHash: 'aaaa',
        overdue: 4,
        overdueAgeMs: 15_000,
      },
      ageMs: 300,
    },
    { prober: 'p-us', region: 'us', live: true, beat: undefined, ageMs: 200 },
    { prober: 'p-ap', region: 'ap', live: false, beat: undefined, ageMs: 7_200_000 },
  ],
  nodes: [
    node('n1', { self: true }),
    node('n2', { verdictsDifferMs: 6_000 }, { revision: '1a2b3c4-dirty' }),
    node('n3', { viewDiffersMs: 5_001, clockSkewMs: null }),
    node('n4', { verdictsDifferMs: 4_000 }),
    node('n5', { live: false, viewDiffersMs: 90_000 }),
    node('n6', { clockSkewMs: 1_800_000 }),
  ],
  overrides: [
    { override: drain, members: 1, orphaned: false, overlong: false },
    {
      override: { ...drain, pattern: 'lhr', action: 'down', untilMs: null, leftMs: null },
      members: 0,
      orphaned: true,
      overlong: true,
    },
  ],
  freeze: null,
  store: { shared: true, trouble: 'Redis at 192.0.2.6:6379 refuses connections', refused: [] },
  troubles: ['saved health can not be written'],
}

/** The node's own prober, as a summary sees it. */
export const prober = {
  counts: { name: 'n1', region: 'eu', planned: 30, assigned: 12, leaving: 2 },
  certificates: [],
  lastHeartbeat: snapshot.probers[0]!.beat,
  restarts: 1,
}

/** Of the service web. */
export const ANSWERS: AnswersRate = {
  answersPerSecond: 7.5,
  sites: [{ site: 'fra', answersPerSecond: 7.5, stages: [{ stage: 'spill', answersPerSecond: 7.5 }] }],
}

export const NO_RATES: Rates = {
  queriesPerSecond: 0,
  countries: [],
  systems: [],
  sites: [],
  stages: [],
  services: [],
}

export const served = (health: HealthSnapshot = snapshot): NodeState => ({
  config: configOf({ 'node.name': 'n1', listen: '192.0.2.53:53' }),
  startedAtMs: Date.now() - 60_000,
  readiness: { ready: true, reasons: [], warnings: [] },
  made: undefined,
  loads: { ok: 1, failed: 0, unchanged: 0, runningMs: 0, last: undefined, revision: undefined },
  troubles: [],
  certificate: undefined,
  changes: new Map([['down', 2]]),
  health,
  counters: [],
  server: undefined,
  cells: new AnswerCells(),
  origins: () => ({ countries: new Map(), systems: new Map(), unlisted: 0 }),
  rates: () => ({ ...NO_RATES, services: [{ service: 'web', ...ANSWERS }] }),
  receiveDrops: undefined,
  http: { refused: new Map([['token', 3]]), certificate: undefined },
  probing: {
    report: {
      name: 'n1',
      region: 'eu',
      planned: 30,
      assigned: 12,
      leaving: 2,
      checksPerSecond: 6,
      wantedPerSecond: 6.25,
      targets: [
        { target: target('t-fra'), lastRunMs: 800, vote: vote('t-fra', 'up'), heldDownMs: 0 },
        { target: target('t-sin'), lastRunMs: 4_000, vote: vote('t-sin', 'down', { moving: true }), heldDownMs: 9_000 },
        { target: target('t-gru'), lastRunMs: undefined, vote: undefined, heldDownMs: 0 },
      ],
    },
    thread: { lastHeartbeat: undefined, restarts: 1 },
  },
})
