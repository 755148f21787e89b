/**
 * Unbound between clients and a node, with a cache by subnet (RFC 7871), strict QNAME minimisation and mixed case: every
 * client gets the site of its own place, whoever has asked before, and a client who opts out leaves no answer for others.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CLIENTS } from '../support/mmdb.ts'
import { DNS_PORT, JAKARTA, NEW_YORK, Scene, VIPS, ZONE } from '../support/scene.ts'
import { until } from '../support/until.ts'

const NAMES = ['www', 'alias', 'a.b.c'] as const

let scene: Scene
let unbound: ChildProcess

beforeAll(async () => {
  scene = new Scene()
  scene.write(
    'demo.example.yaml',
    `${ZONE}alias: {type: CNAME, value: www.demo.example.}\na.b.c: {type: GSLB, service: web}\n`,
  )
  await scene.startSites()
  const node = await scene.startReady()
  await until('all up', async () => Object.values(await node.states()).every((state) => state === 'up'))
  const settings = join(scene.folder, 'unbound.conf')
  writeFileSync(
    settings,
    `server:
  directory: "${scene.folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: ${scene.address(4)}@${DNS_PORT}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  module-config: "subnetcache iterator"
  send-client-subnet: ${scene.address(0)}
  client-subnet-zone: demo.example
  qname-minimisation-strict: yes
  use-caps-for-id: yes
stub-zone:
  name: demo.example
  stub-addr: ${scene.address(0)}@${DNS_PORT}
`,
  )
  unbound = spawn('unbound', ['-d', '-c', settings], { stdio: 'ignore' })
  await until('an answer through the resolver', async () => (await resolve('www')) !== undefined)
})
afterAll(async () => {
  unbound.kill('SIGKILL')
  await scene.close()
})

/** The address that a client gets from the resolver; undefined while that does not answer. */
async function resolve(name: string, subnet = '0.0.0.0/0'): Promise<string | undefined> {
  const words = [`@${scene.address(4)}`, '-p', String(DNS_PORT), '+time=2', '+tries=2', '+short', `+subnet=${subnet}`]
  const { stdout } = await promisify(execFile)('dig', [...words, `${name}.demo.example`, 'A']).catch(() => ({
    stdout: '',
  }))
  return stdout.trim().split('\n').at(-1) || undefined
}

test.each(NAMES)('%s: by subnet, and back again', async (name) => {
  const steps = [
    ['0.0.0.0/0', VIPS.fra], // nobody: the first site
    [NEW_YORK, VIPS.iad],
    [JAKARTA, VIPS.sin],
    ['24.91.7.0/24', VIPS.iad], // New York, from another network
    [`${CLIENTS.jakarta.v6}/56`, VIPS.sin],
    [`${CLIENTS.newYork.v6}/56`, VIPS.iad],
    ['0.0.0.0/0', VIPS.fra],
    [NEW_YORK, VIPS.iad],
  ] as const
  for (const [subnet, address] of steps) expect([subnet, await resolve(name, subnet)]).toEqual([subnet, address])
})
