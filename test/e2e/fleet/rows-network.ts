/** Rows of docs/partitions.md: the network is cut, here and there. */
import type { Status } from '../../../src/api/status.ts'
import { nodeInWords } from '../../../src/cli/status.ts'
import { type Host, NODES, PROBERS } from './fleet.ts'
import { type Fault, HOLD_MS, type Row } from './row.ts'

/** What a prober sees of the world beyond its own region: the sites, and its canary. */
const SITES = ['fra', 'iad', 'sin', 'canary'] as const
const hosts = (...names: readonly Host[]) => names

const shownAbstaining = (row: Row, ...probers: readonly string[]): Promise<void> =>
  row.shown(`${probers.join(', ')} abstain`, ({ services }) =>
    (services[0]?.members ?? []).every(({ targets }) =>
      targets.every(({ votes }) =>
        probers.every((prober) => votes.some((vote) => vote.prober === prober && vote.value === 'abstain')),
      ),
    ),
  )

/** Whether status calls the site HELD UP, with what to do. */
const isHeldUp =
  (site: string) =>
  (status: Status): boolean =>
    nodeInWords(status)
      .replaceAll(/\s+/g, ' ')
      .includes(`${site} is HELD UP: all votes that there are say DOWN (1 of 2 needed)`)

export function rowsOfNetwork(fault: Fault): void {
  fault('one node is cut off from Redis', async (row) => {
    row.fleet.network.cut(['n2'], ['redis'])
    row.dies('fra')
    await row.applied('paris', ['n1'])
    await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
    await row.held('paris', ['n2'])
    await row.measured('meridian_store_up{kind="redis"}', 0, ['n2'])
    await row.measured('meridian_nodes{what="silent"}', 1, ['n1'])
    row.fleet.network.healAll()
    await row.applied('paris', ['n2'])
    await row.revives('fra')
  })

  fault('a node and a prober are cut off together', async (row) => {
    row.fleet.network.cut(['n2', 'p3'], hosts('redis', 'n1', 'p1', 'p2'))
    row.dies('iad')
    await row.applied('newYork', ['n1'])
    await row.shown('trouble on the way to Redis', ({ store }) => store.trouble !== null, ['n2'])
    await row.held('newYork', ['n2'])
    await row.measured('meridian_probers{what="silent"}', 1, ['n1'])
    row.fleet.network.healAll()
    await row.applied('newYork', ['n2'])
    await row.revives('iad')
  })

  fault('one prober is cut off from the sites', async (row) => {
    row.fleet.network.cut(['p1'], SITES)
    await shownAbstaining(row, 'p1')
    row.dies('sin')
    await row.applied('jakarta')
    row.fleet.network.healAll()
    await row.revives('sin')
  })

  fault('one prober is cut off from everything', async (row) => {
    row.fleet.network.cut(['p2'], [...SITES, 'redis'])
    await row.shown('it is silent', ({ probers }) => probers.some(({ prober, live }) => prober === 'p2' && !live))
    row.dies('fra')
    await row.applied('paris')
    await row.measured('meridian_probers{what="silent"}', 1)
    row.fleet.network.healAll()
    await row.revives('fra')
  })

  fault('two of three probers are cut off from everything', async (row) => {
    row.fleet.network.cut(['p1', 'p3'], [...SITES, 'redis'])
    await row.shown('they are silent', ({ probers }) => probers.filter(({ live }) => !live).length === 2)
    row.dies('sin')
    await row.held('jakarta') // the one that is left is no quorum: the roster has three
    await row.measured('meridian_probers{what="silent"}', 2)
    await row.measured('meridian_service_held_members{service="web"}', 3)
    await row.measured('meridian_service_dissent_members{service="web",says="down"}', 1)
    await row.shown('what to do', isHeldUp('sin'))
    row.fleet.network.healAll()
    await row.applied('jakarta')
    await row.revives('sin')
  })

  fault('two of three probers are cut off from the sites', async (row) => {
    row.fleet.network.cut(['p1', 'p2'], SITES)
    await shownAbstaining(row, 'p1', 'p2')
    row.dies('iad')
    await row.held('newYork')
    await row.measured('meridian_service_held_members{service="web"}', 3)
    await row.measured('meridian_service_dissent_members{service="web",says="down"}', 1)
    row.fleet.network.healAll()
    await row.applied('newYork')
    await row.revives('iad')
  })

  fault('all probers are cut off from the sites', async (row) => {
    row.fleet.network.cut(PROBERS, SITES)
    await shownAbstaining(row, ...PROBERS)
    row.dies('sin')
    await row.held('jakarta')
    await row.measured('meridian_service_held_members{service="web"}', 3)
    await row.measured('meridian_service_voteless_members{service="web"}', 3)
    row.fleet.network.healAll()
    await row.applied('jakarta')
    await row.revives('sin')
  })

  fault('all probers are cut off from Redis', async (row) => {
    row.fleet.network.cut(PROBERS, ['redis'])
    row.dies('fra')
    await row.held('paris', undefined, HOLD_MS)
    await row.measured('meridian_probers{what="silent"}', 3)
    await row.measured('meridian_service_voteless_members{service="web"}', 3)
    row.fleet.network.healAll()
    await row.applied('paris')
    await row.revives('fra')
  })

  fault('a serving node is restarted without saved state while no prober is heard', async (row) => {
    row.dies('fra')
    await row.applied('paris')
    row.fleet.network.cut(['p1', 'p2', 'p3'], ['redis'])
    await row.shown('no prober', ({ probers }) => probers.every(({ live }) => !live))
    await row.restarts('n2', () => row.fleet.forgetState('n2'))
    await row.applied('paris', ['n2']) // as n1 knows it
    await row.only('paris', 'iad', NODES, HOLD_MS)
    row.fleet.network.healAll()
    await row.revives('fra')
  })
}
