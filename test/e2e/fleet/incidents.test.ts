/** The incidents of docs/runbooks.md: each is made to happen, and what its runbook quotes is said. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeTestDatabase } from '../../support/mmdb.ts'
import { SITES_YAML, VIPS, ZONE } from '../../support/scene.ts'
import { CITY, EVERYONE, type Fleet, NODES, PROBERS, servicesYaml } from './fleet.ts'
import { Incident, RUNBOOKS } from './incident.ts'
import { type Row, useFleet } from './row.ts'

const fault = useFleet()
/** Preloaded into a process whose clock shall jump. */
const CLOCK = new URL('clock.ts', import.meta.url).href
const SECURE_SITE = join(import.meta.dirname, 'secure-site.ts')
const SERVICES = servicesYaml()
const titles: string[] = []

/** A service that is checked over https, in two sites. */
const SHOP = `shop:
  sites: {fra: {vips: [${VIPS.fra}]}, iad: {vips: [${VIPS.iad}]}}
  check: {type: https, host: www.example.com, path: /, interval: 1s, timeout: 500ms, fast: 250ms}
`

async function startSecureSite({ network }: Fleet, site: string): Promise<ChildProcess> {
  const [command, ...args] = [...network.on(site), process.execPath, SECURE_SITE, network.address(site)]
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

/** Waits until all members are up, and so many there are, as all probers say. */
const allUp = (row: Row, members: number): Promise<void> =>
  row.shown(`${members} members are up`, ({ services }) => {
    const all = services.flatMap((service) => service.members)
    const votes = all.flatMap(({ targets }) => targets.flatMap((target) => target.votes))
    return all.length === members && votes.filter(({ value }) => value === 'up').length === members * PROBERS.length
  })

const isOneService = (row: Row): Promise<void> => row.shown('one service', ({ services }) => services.length === 1)

/** Tests a section of the runbooks; `body` makes the incident happen, waits until it is told, and ends it. */
function runbook(title: string, body: (incident: Incident) => Promise<void>): void {
  titles.push(title)
  fault(title, async (row) => {
    const one = new Incident(row, title)
    await body(one)
    await one.isOver()
  })
}

runbook('A site freezes', async (incident) => {
  const { row } = incident
  await incident.begins(() => row.dies('fra', 'SIGSTOP'))
  await incident.isTold()
  incident.ends(() => row.fleet.signalSite('fra', 'SIGCONT'))
})

runbook('Most probers are cut off', async (incident) => {
  const { row } = incident
  await incident.begins(() => {
    row.fleet.network.cut(['p2', 'p3'], ['fra', 'iad', 'sin', 'canary', 'redis'])
    row.dies('fra')
  })
  await incident.isTold()
  incident.ends(() => row.fleet.network.healAll())
  await row.applied('paris')
  await row.revives('fra')
})

runbook('Redis freezes', async (incident) => {
  const { row } = incident
  await incident.begins(() => row.fleet.redis.signal('SIGSTOP'))
  await incident.isTold()
  incident.ends(() => row.fleet.redis.signal('SIGCONT'))
})

runbook('A commit does not load', async (incident) => {
  const { fleet } = incident.row
  await incident.begins(() => fleet.put(EVERYONE, 'services.yaml', SERVICES.replace('fra: {vips: [', 'fra: {vips: ')))
  await incident.isTold()
  incident.ends(() => fleet.writeAll())
})

runbook('A commit moves clients by mistake', async (incident) => {
  const { row } = incident
  const { fleet } = row
  await incident.begins(() => {
    for (const site of ['fra', 'iad'] as const) row.excuse(site)
    fleet.put(EVERYONE, 'sites.yaml', SITES_YAML.replace('fra:', 'x:').replace('iad:', 'fra:').replace('x:', 'iad:'))
  })
  await row.answered('paris', 'iad', NODES, 10_000)
  await incident.isTold()
  incident.ends(() => fleet.writeAll())
  for (const place of ['paris', 'newYork'] as const) await row.home(place)
  // the next reload moves nobody
  fleet.put(EVERYONE, 'demo.example.yaml', `${ZONE}new: {type: A, values: [192.0.2.81]}\n`)
  await row.measured('meridian_world_moved_ratio', 0)
  fleet.writeAll()
})

runbook('A certificate expires', async (incident) => {
  const { row } = incident
  const { fleet } = row
  const sites = await Promise.all(['fra', 'iad'].map((site) => startSecureSite(fleet, site)))
  try {
    fleet.put(EVERYONE, 'services.yaml', `${SERVICES}${SHOP}`)
    await allUp(row, 5)
    await incident.begins(() => void sites[0]!.kill('SIGUSR2'))
    await incident.isTold()
    fleet.writeAll()
    await isOneService(row)
  } finally {
    for (const site of sites) site.kill()
  }
})

runbook('A VIP of several services dies', async (incident) => {
  const { row } = incident
  const shop = SERVICES.replace('web:', 'shop:')
  row.fleet.put(EVERYONE, 'services.yaml', `${SERVICES}${shop}`)
  await allUp(row, 6)
  await incident.begins(() => row.dies('fra', 'SIGSTOP'))
  await incident.isTold()
  incident.ends(() => row.fleet.signalSite('fra', 'SIGCONT'))
  await row.home('paris')
  row.fleet.writeAll()
  await isOneService(row) // or the next incident's file is read with these
})

runbook('A database is corrupt', async (incident) => {
  const { fleet } = incident.row
  await incident.begins(() => truncateSync(fleet.city, Math.floor(statSync(fleet.city).size / 2)))
  await incident.isTold()
  incident.ends(() => fleet.writeAll())
})

runbook('A database is old', async (incident) => {
  const { fleet } = incident.row
  const buildEpoch = Math.floor(Date.now() / 1000) - 46 * 86_400
  await incident.begins(() => writeTestDatabase(fleet.city, { ...CITY, buildEpoch }))
  await incident.isTold(75)
  incident.ends(() => fleet.writeAll())
})

runbook('The disk is full', async (incident) => {
  const { row } = incident
  const { fleet } = row
  const state = fleet.state('n2')
  const filler = join(state, 'filler')
  await row.restarts('n2', () => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', state]))
  try {
    await row.fleet.process('n2').ready()
    await incident.begins(() => {
      expect(() => writeFileSync(filler, Buffer.alloc(16 << 20))).toThrow('ENOSPC')
      fleet.put(EVERYONE, 'demo.example.yaml', `${ZONE}new: {type: A, values: [192.0.2.81]}\n`)
    })
    await incident.isTold()
    incident.ends(() => {
      rmSync(filler)
      fleet.writeAll()
    })
    await row.shown('no trouble', ({ troubles }) => troubles.length === 0)
  } finally {
    await row.restarts('n2', () => execFileSync('umount', [state]))
  }
})

runbook('A clock jumps', async (incident) => {
  const { row } = incident
  const file = join(row.fleet.folder, 'clock of n2')
  writeFileSync(file, '0')
  await row.restarts('n2', () => {}, { CLOCK_FILE: file, NODE_OPTIONS: `--import=${CLOCK}` })
  await incident.begins(() => writeFileSync(file, '1800000'))
  await incident.isTold()
  incident.ends(() => writeFileSync(file, '0'))
  await row.shown('the clocks agree', ({ nodes }) =>
    nodes.every(({ clockSkewMs }) => Math.abs(clockSkewMs ?? 0) < 5_000),
  )
  await row.restarts('n2')
})

runbook('A site flaps', async (incident) => {
  const { row } = incident
  const { fleet } = row
  const allSay = (value: 'up' | 'down') =>
    row.shown(`all say ${value}`, ({ services }) => {
      const sin = services[0]?.members.find(({ site }) => site === 'sin')
      return sin!.targets.every(({ votes }) => votes.length === 3 && votes.every((vote) => vote.value === value))
    })
  await incident.begins(async () => {
    for (let times = 1; times <= 4; times++) {
      row.dies('sin', 'SIGSTOP')
      await allSay('down')
      fleet.signalSite('sin', 'SIGCONT')
      if (times < 4) await allSay('up')
    }
  })
  await incident.isTold()
})

runbook('A site awaits its return', async (incident) => {
  const { row } = incident
  const { fleet } = row
  const before = (await fleet.status('n1'))?.world?.view
  fleet.put(EVERYONE, 'services.yaml', `${SERVICES}\n  failback: manual\n`)
  await row.shown('the new zones', ({ world }) => world !== null && world.view !== before)
  await incident.begins(async () => {
    row.dies('fra')
    await row.applied('paris')
    await row.revives('fra')
  })
  await incident.isTold(70)
  incident.ends(() => {})
  expect(await fleet.command('n1', 'return', 'fra')).toMatchObject({ code: 0 })
  await row.home('paris')
  fleet.writeAll()
  await row.shown('the zones as they were', ({ world }) => world?.view === before)
})

runbook('The automation is not to be trusted', async (incident) => {
  const { row } = incident
  await incident.begins(async () => {
    await row.fleet.command('n1', 'freeze', '--for', '1h', '--why', 'probers move')
    row.dies('iad')
  })
  await incident.isTold()
  incident.ends(() => {})
  expect(await row.fleet.command('n1', 'unfreeze')).toMatchObject({ code: 0 })
  await row.applied('newYork')
  await row.revives('iad')
})

runbook('A node hangs', async (incident) => {
  const { row } = incident
  await incident.begins(() => {
    row.excuseLost('n2')
    row.fleet.process('n2').kill('SIGSTOP')
  })
  await incident.isTold()
  incident.ends(() => row.fleet.process('n2').kill('SIGCONT'))
})

runbook('A site is drained in part', async (incident) => {
  const { row } = incident
  const give = async (...words: string[]): Promise<void> => {
    expect(await row.fleet.command('n1', ...words, '--who', 'kim@ops1')).toMatchObject({ code: 0, err: '' })
  }
  row.excuse('fra')
  await incident.begins(() => give('drain', 'fra', '--to', '30%', '--over', '10s', '--why', 'new load balancer'))
  await incident.isTold()
  await row.shown(
    'fra at 30 %',
    ({ services }) => services[0]!.members.find(({ site }) => site === 'fra')?.share === 300,
  )
  incident.ends(() => {})
  await give('undrain', 'fra', '--over', '5s')
  await row.shown('no override', ({ overrides }) => overrides.length === 0)
})

test('docs/runbooks.md has a section for each incident that is tested, and no other before that of the alarms', () => {
  expect([...RUNBOOKS.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual([...titles, 'Alarms'])
})
