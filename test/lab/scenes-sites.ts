/** Scenes of what is behind the answers: sites, Redis, a region that is cut off. No node is withdrawn in them. */
import assert from 'node:assert/strict'
import { SPREAD_MS, detectionMs } from '../../src/zone/budget.ts'
import { address, REDIS, SITE_OF } from './plan.ts'
import { CHECK_TIMES, TTL_MAX } from './settings.ts'
import { assertNobodyMoved, assertNoneFailed, assertNoneWithdrawn, leadIn, type Scene } from './stage.ts'

/** As `meridian check` counts them. */
const DETECT_MS = detectionMs(CHECK_TIMES)
const FAILOVER_MS = DETECT_MS + SPREAD_MS + 1_000 * TTL_MAX

const siteDies: Scene = {
  name: 'site-dies',
  title: 'A site dies',
  async play(lab, stage) {
    await leadIn(stage)
    const diedMs = stage.note('HAProxy of fra is killed')
    await lab.daemon('eu-lb1').end('SIGKILL')
    await stage.untilClients('nobody is sent to fra', 'eu', (seen) => seen.sites({ region: 'eu' })['fra'] === undefined)
    const seen = await stage.seen()
    stage.within('the last client that was sent to fra', seen.lastMs('fra') - diedMs, FAILOVER_MS)
    assertNoneFailed(stage, seen)
    for (const region of ['us', 'ap'] as const)
      assert.deepEqual(Object.keys(seen.sites({ region })), [SITE_OF[region]], `clients of ${region} stay`)
    stage.claim('clients of us and ap: none moved')
    assertNoneWithdrawn(stage)
    stage.note('HAProxy of fra is started')
    lab.daemon('eu-lb1').start()
    await lab.calm()
  },
}

const vipFloats: Scene = {
  name: 'vip-floats',
  title: 'One of two load balancers dies, and the VIP floats to the other',
  async play(lab, stage) {
    const has = (lb: string): boolean =>
      ['-4', '-6'].every((family) =>
        Object.values(address('ap', 'vip')).some((vip) =>
          lab.network.run(lb, 'ip', family, 'address', 'show', 'dev', 'eth0').includes(` ${vip}/`),
        ),
      )
    await stage.until('the VIP is at lb1', () => has('ap-lb1'))
    await leadIn(stage)
    const cutMs = stage.note('lb1 of sin loses its cable')
    lab.network.cutHost('ap-lb1', true)
    await stage.until('the VIP is at lb2', () => has('ap-lb2'))
    stage.note('lb2 has the VIP')
    // by then a prober would have voted DOWN
    await stage.until('later', () => lab.clients.second > lab.clients.secondOf(cutMs + DETECT_MS) + 1)
    const seen = await stage.seen()
    assertNoneFailed(stage, seen)
    assert.deepEqual(Object.keys(seen.sites({ region: 'ap' })), ['sin'], 'clients of ap stay')
    stage.claim('clients of ap: none moved')
    stage.note('lb1 has its cable again')
    lab.network.cutHost('ap-lb1', false)
    await stage.until('the VIP is at lb1', () => has('ap-lb1') && !has('ap-lb2'))
    await lab.calm()
  },
}

const redisCut: Scene = {
  name: 'redis-cut',
  title: 'Redis is cut from a region',
  async play(lab, stage) {
    const trouble = async () => (await lab.status('us'))?.store.trouble
    await leadIn(stage)
    stage.note('us does not reach Redis')
    lab.network.swallow('us', REDIS.v4, true)
    await stage.until('the node notices', trouble)
    stage.note(`the node says: ${await trouble()}`)
    await stage.pass(3)
    const status = await lab.status('us')
    const states = status!.services.flatMap(({ members }) => members.map(({ state }) => state))
    assert.deepEqual([...new Set(states)], ['up'], 'missing data never means down')
    stage.note('us reaches Redis')
    lab.network.swallow('us', REDIS.v4, false)
    await stage.until('the node is connected again', async () => (await trouble()) === null)
    stage.note('the node is connected again')
    await lab.calm()
    const seen = await stage.seen()
    assertNoneFailed(stage, seen)
    assertNobodyMoved(seen)
    stage.claim('clients: none moved; nodes: none withdrawn')
    assertNoneWithdrawn(stage)
  },
}

const regionCut: Scene = {
  name: 'region-cut',
  title: 'A region is cut off whole',
  async play(lab, stage) {
    const trouble = async () => (await lab.status('ap'))?.store.trouble
    const sinAt = async (region: 'eu' | 'ap') =>
      (await lab.status(region))!.services[0]!.members.filter(({ site }) => site === 'sin').map(({ state }) => state)
    await leadIn(stage)
    stage.note('ap loses its cables to eu and us')
    lab.network.cutRegion('ap', true)
    await stage.until('the others take sin out', async () => (await sinAt('eu')).every((state) => state === 'down'))
    stage.note('eu and us: sin is down')
    await stage.until('the node in ap notices', trouble)
    stage.note('the node in ap: no Redis')
    await stage.pass(2)
    assert.deepEqual([...new Set(await sinAt('ap'))], ['up'], 'in ap sin is up')
    stage.note('ap has its cables again')
    lab.network.cutRegion('ap', false)
    await stage.until('the node in ap is connected', async () => (await trouble()) === null)
    stage.note('the node in ap is connected')
    await stage.until('sin is up everywhere', async () => (await sinAt('eu')).every((state) => state === 'up'))
    stage.note('eu and us: sin is up')
    await stage.pass(2)
    await lab.calm()
    const seen = await stage.seen()
    assertNoneFailed(stage, seen)
    assertNobodyMoved(seen)
    assertNoneWithdrawn(stage)
    stage.claim('clients: none moved, neither in ap nor elsewhere, neither then nor when it was back')
  },
}

export const SITE_SCENES: readonly Scene[] = [siteDies, vipFloats, redisCut, regionCut]
