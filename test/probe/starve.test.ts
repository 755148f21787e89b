/** A prober without a file descriptor left can't ask anybody: that is no failure of any site, whatever the kind. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

test('without file descriptors every check is unable', () => {
  const entry = resolve(import.meta.dirname, 'starve.ts')
  const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 100 && exec "$@"', 'sh', process.execPath, entry], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  expect(stderr).toBe('')
  const seen: readonly string[] = JSON.parse(stdout)
  const words = 'unable: this host is out of file descriptors'
  const expected = ['http', 'https', 'tcp', 'tls', 'grpc', 'grpc', 'dns', 'agent'].map((type) => `${type} ${words}`)
  expect(seen.filter((one) => !/^(icmp|exec)/.test(one))).toEqual(expected)
  expect(seen.filter((one) => /^(icmp|exec) unable: /.test(one))).toHaveLength(2)
})
