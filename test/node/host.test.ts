/** What a host lacks for a node's settings. */
import { expect, test } from 'vitest'
import { readConfig, settingFromText } from '../../src/config.ts'
import { type Host, hostProblems } from '../../src/node/host.ts'

const config = (settings: Readonly<Record<string, string>> = {}) =>
  readConfig(
    Object.entries(settings).map(([key, value]) => settingFromText(key, value, 'test')),
    (problem) => expect.fail(problem.message),
  )!
const WANTED = 4_194_304
const host = (rmem = WANTED, wmem = WANTED, files = 65_536): Host => ({
  sysctl: (name) => ({ 'net.core.rmem_max': rmem, 'net.core.wmem_max': wmem })[name],
  files,
  whose: 'the node',
})
const told = (...args: Parameters<typeof hostProblems>): string[] =>
  hostProblems(...args).map(
    ({ severity, code, file, message, hint }) => `${severity} ${code} ${file}: ${message}. ${hint}`,
  )

test('a host that gives what is asked for lacks nothing', () => {
  expect(told(config(), host())).toEqual([])
  expect(told(config(), host(2 * WANTED, 2 * WANTED, 0))).toEqual([]) // 0: no limit
  expect(told(config(), { ...host(), sysctl: () => undefined })).toEqual([]) // no Linux
})

test('buffers of the kernel’s default are told, with the command that raises them', () => {
  expect(told(config(), host(212_992, WANTED - 1))).toEqual([
    'warning host-buffers net.core.rmem_max: receive buffer 212,992 bytes, not the 4,194,304 that each UDP socket asks for: queries are dropped sooner in a burst. Raise net.core.rmem_max to 4,194,304: sysctl -w net.core.rmem_max=4194304, and for later starts in a file of /etc/sysctl.d',
    'warning host-buffers net.core.wmem_max: send buffer 4,194,303 bytes, not the 4,194,304 that each UDP socket asks for: answers are dropped sooner in a burst. Raise net.core.wmem_max to 4,194,304: sysctl -w net.core.wmem_max=4194304, and for later starts in a file of /etc/sysctl.d',
  ])
})

test('files: half of them are for the connections of all transports', () => {
  expect(told(config(), host(WANTED, WANTED, 4_000))).toEqual([])
  expect(told(config(), host(WANTED, WANTED, 3_998))).toEqual([
    'warning host-files tcp.connections: the node may open 3,998 files: that is 1,999 connections of TCP, not 2,000. Let it open 4,000: LimitNOFILE=4000 in its unit, or ulimit -n 4000; or lower tcp.connections',
  ])
  const all = config({ 'tls.listen': '127.0.0.1:853', 'https.listen': '127.0.0.1:443' })
  expect(told(all, host(WANTED, WANTED, 12_000))).toEqual([])
  expect(told(all, host(WANTED, WANTED, 11_999))[0]).toContain('1,999 connections of each of 3 transports')
})
