/** A prober whose host is out of descriptors or ports can't ask anybody: that is no failure of any site, whatever the kind. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const NAMESPACE = process.getuid?.() === 0 ? ['-n'] : ['-rn']
const mayUnshare = spawnSync('unshare', [...NAMESPACE, 'ip', 'link', 'set', 'lo', 'up']).status === 0
const DIALLING = ['http', 'https', 'tcp', 'tls', 'grpc', 'grpc', 'dns', 'agent']

function starve(lack: string, limit: string, ...before: readonly string[]): readonly string[] {
  const entry = resolve(import.meta.dirname, 'starve.ts')
  const [command, ...args] = [...before, 'sh', '-c', `${limit} && exec "$@"`, 'sh', process.execPath, entry, lack]
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 })
  expect(stderr).toBe('')
  const seen: readonly string[] = JSON.parse(stdout)
  return seen
}

test('without file descriptors every check is unable', () => {
  const seen = starve('files', 'ulimit -n 100')
  const words = 'unable: this host is out of file descriptors'
  expect(seen.filter((one) => !/^(icmp|exec)/.test(one))).toEqual(DIALLING.map((type) => `${type} ${words}`))
  expect(seen.filter((one) => /^(icmp|exec) unable: /.test(one))).toHaveLength(2)
})

test('without processes only checks that start one are unable', () => {
  const seen = starve('processes', 'true')
  const words = "exec unable: command mine can't be started: spawn /bin/true EAGAIN"
  expect(seen.filter((one) => one.startsWith('exec'))).toEqual([words])
  const refused = DIALLING.map((type) => `${type} fail: connection refused`)
  expect(seen.filter((one) => !/^(icmp|exec)/.test(one))).toEqual(refused)
})

test.skipIf(!mayUnshare)('without local ports every check that needs one is unable', () => {
  const limit = 'ip link set lo up && echo 50000 50000 > /proc/sys/net/ipv4/ip_local_port_range'
  const seen = starve('ports', limit, 'unshare', ...NAMESPACE)
  const words = 'unable: this host has no address or port left to ask from'
  expect(seen.filter((one) => !/^(icmp|exec)/.test(one))).toEqual(DIALLING.map((type) => `${type} ${words}`))
  expect(seen.filter((one) => one.startsWith('exec pass'))).toHaveLength(1)
})
