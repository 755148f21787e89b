/** Scenes of nodes: one dies, hangs, ends; all are upgraded; the last one stays. */
import assert from 'node:assert/strict'
import { CALM } from './clients.ts'
import type { Lab } from './lab.ts'
import { type Region, REGIONS } from './plan.ts'
import { assertNoneFailed, failuresText, HANGING_MS, leadIn, type Scene, type Stage } from './stage.ts'

/** docs/anycast.md: a route goes within 3 s. */
const WITHDRAWAL_MS = 3_000
/** Until the routers of all regions have heard of it, and their kernels. */
const CONVERGED_MS = 500

const isRouted = (lab: Lab, region: Region, to: Region): boolean => lab.routes.to(region) === to

/** The region's own node, from its start until its router sends to it again. */
async function startAgain(lab: Lab, stage: Stage, region: Region): Promise<void> {
  stage.note(`the node in ${region} is started`)
  await lab.startNode(region).ready(HANGING_MS)
  await stage.until(`${region} is routed to its own node`, () => isRouted(lab, region, region))
}

/** Waits until a region's route has gone to another node; returns which, and when the last change was. */
async function untilMoved(lab: Lab, stage: Stage, region: Region): Promise<{ to: Region; atMs: number }> {
  await stage.until(`the route of ${region} goes`, () => ![region, undefined].includes(lab.routes.to(region)))
  return { to: lab.routes.to(region)!, atMs: stage.routes.findLast((change) => change.region === region)!.atMs }
}

/** A node that answers no more without a word. Those on their way to it are lost, until the route has gone. */
async function playSilence(lab: Lab, stage: Stage, region: Region, signal: NodeJS.Signals, what: string) {
  await leadIn(stage)
  const silentMs = stage.note(`the node in ${region} is ${what} (${signal})`)
  lab.node(region).kill(signal)
  const { to, atMs } = await untilMoved(lab, stage, region)
  stage.within('from there to the route’s change', atMs - silentMs, WITHDRAWAL_MS, region)
  await stage.untilClients('answered by the next node', region, (seen) => {
    const { nodes, failed } = { nodes: Object.keys(seen.nodes({ region })), failed: seen.failures({ region }) }
    return nodes.length === 1 && nodes[0] === to && failed.length === 0
  })
  const seen = await stage.seen()
  const failures = seen.failures()
  stage.claim(`queries that failed meanwhile: ${failuresText(failures).join(', ') || 'none'} of ${seen.sent()}`)
  const counted = failures.filter((failed) => !stage.isExcused(failed.sentMs))
  for (const failed of counted) assert.equal(failed.region, region, 'clients elsewhere notice nothing')
  for (const { sentMs, way, why } of counted.filter((failed) => failed.way === 'bare'))
    assert(
      sentMs >= silentMs - 100 && sentMs <= atMs + CONVERGED_MS,
      `${way} ${why} ${sentMs - atMs} ms after the change`,
    )
  stage.claim(`next node: ${to}`)
}

const nodeKilled: Scene = {
  name: 'node-killed',
  title: 'A node is killed',
  async play(lab, stage) {
    await playSilence(lab, stage, 'eu', 'SIGKILL', 'killed')
    await startAgain(lab, stage, 'eu')
    await lab.calm()
  },
}

const nodeHangs: Scene = {
  name: 'node-hangs',
  title: 'A node hangs',
  async play(lab, stage) {
    await playSilence(lab, stage, 'us', 'SIGSTOP', 'stopped')
    stage.note('the node in us goes on (SIGCONT)')
    lab.node('us').kill('SIGCONT')
    await stage.until('us is routed to its own node', () => isRouted(lab, 'us', 'us'))
    await lab.calm()
  },
}

/** SIGTERM, and what must come of it: the route first, then the end. */
async function endInOrder(lab: Lab, stage: Stage, region: Region): Promise<void> {
  const node = lab.node(region)
  stage.note(`the node in ${region} is told to end (SIGTERM)`)
  node.kill('SIGTERM')
  await untilMoved(lab, stage, region)
  assert(node.runs, 'the route goes while the node still answers')
  assert.equal(await node.ended, 0)
  stage.note(`it has ended`)
}

const nodeDrained: Scene = {
  name: 'node-drained',
  title: 'A node is drained for an upgrade',
  async play(lab, stage) {
    await leadIn(stage)
    await endInOrder(lab, stage, 'ap')
    await stage.pass(1)
    await startAgain(lab, stage, 'ap')
    await lab.calm()
    assertNoneFailed(stage, await stage.seen())
  },
}

const fleetUpgraded: Scene = {
  name: 'fleet-upgraded',
  title: 'All nodes are upgraded in turn, under load',
  async play(lab, stage) {
    const { load } = lab
    stage.note(`clients ask ${load.toLocaleString('en')} queries a second, none of them from a cache`)
    lab.clients.order({ perSecond: load / REGIONS.length, mayCache: false })
    await stage.pass(2)
    for (const region of REGIONS) {
      await endInOrder(lab, stage, region)
      await startAgain(lab, stage, region)
    }
    await stage.pass(1)
    lab.clients.order(CALM)
    stage.note('clients ask as ever')
    const seen = await stage.seen()
    await lab.calm()
    assertNoneFailed(stage, seen, { way: 'resolver' }, 'queries of clients behind resolvers')
    const bare = seen.failures({ way: 'bare' })
    stage.claim(`queries of bare clients that failed: ${bare.length} of ${seen.sent({ way: 'bare' })}`)
    for (const { region, sentMs, why } of bare) {
      const near =
        stage.isExcused(sentMs) || stage.routes.some((change) => Math.abs(change.atMs - sentMs) < CONVERGED_MS)
      assert(near, `${why} in ${region}, although no route changed`)
    }
  },
}

const STAYS = 'STAYS ANNOUNCED'
const staysOf = (lab: Lab, region: Region): string | undefined =>
  lab.announcing(region).lines.findLast(({ msg }) => msg.startsWith(STAYS))?.msg

const lastStays: Scene = {
  name: 'last-stays',
  title: 'The last node that is announced cannot be talked into withdrawing',
  async play(lab, stage) {
    await leadIn(stage)
    for (const region of ['eu', 'us'] as const) {
      stage.note(`the node in ${region} is killed (SIGKILL)`)
      lab.node(region).kill('SIGKILL')
      await stage.until(`${region} is withdrawn`, () => !lab.hasRoute(region))
    }
    await stage.until('all go to ap', () => REGIONS.every((region) => isRouted(lab, region, 'ap')))
    for (const region of REGIONS)
      await stage.untilClients('answered by ap', region, (seen) => Object.keys(seen.nodes({ region })).join() === 'ap')
    await stage.until('the board has no other', async () => (await lab.status('ap'))?.announce?.report?.others === 0)
    const aloneMs = stage.note('the node in ap is stopped (SIGSTOP)')
    lab.node('ap').kill('SIGSTOP')
    await stage.until('it stays', () => staysOf(lab, 'ap'))
    stage.note('meridian announce: STAYS ANNOUNCED')
    stage.claim(`meridian announce: ${staysOf(lab, 'ap')}`)
    lab.node('ap').kill('SIGCONT')
    stage.note('it goes on (SIGCONT)')
    for (const region of REGIONS)
      await stage.untilClients(
        'answered by ap',
        region,
        (seen) => seen.sites({ region })['sin'] !== 0 && Object.keys(seen.nodes({ region })).join() === 'ap',
      )
    stage.note('the node in ap is told to end (SIGTERM)')
    const last = lab.node('ap')
    last.kill('SIGTERM')
    assert.equal(await last.ended, 0)
    stage.note('it has ended')
    const said = last.lines.map(({ msg }) => msg).find((msg) => msg.includes(STAYS))
    assert(said !== undefined, 'the node says so')
    stage.claim(`the node, at its end: ${said}`)
    assert(lab.hasRoute('ap'), 'its route stays')
    assert.deepEqual(
      lab.routes.since(aloneMs).map(({ region, to }) => `${region} to ${to}`),
      [],
      'no route changes',
    )
    stage.claim('its route stayed from the first to the last')
    stage.note('all nodes are started')
    for (const region of REGIONS) lab.startNode(region)
    await Promise.all(REGIONS.map((region) => lab.node(region).ready(HANGING_MS)))
    await stage.until('all are routed', () => REGIONS.every((region) => isRouted(lab, region, region)))
    await lab.calm()
  },
}

export const NODE_SCENES: readonly Scene[] = [nodeKilled, nodeHangs, nodeDrained, fleetUpgraded]
export const LAST_SCENES: readonly Scene[] = [lastStays]
